//! Local resource shortages of this process: file descriptors, memory, disk, ports.
//!
//! Such an error is no fault of the job or of the service that it calls, so the job is snoozed and no attempt counts
//! (`Classified::for_job`).

use std::{error::Error, io, time::Duration};

/// How long a job is snoozed after a shortage of its own process.
pub const PUT_OFF: Duration = Duration::from_secs(5);

/// Raises the limit of file descriptors as far as the system allows, and returns the new limit; `u64::MAX` on a system without
/// one.
pub fn raise_descriptors() -> io::Result<u64> {
    rlimit::increase_nofile_limit(u64::MAX)
}

/// How many file descriptors this process may have open.
pub fn descriptors() -> u64 {
    // A limit that cannot be read counts as none.
    limit().unwrap_or(u64::MAX)
}

#[cfg(unix)]
fn limit() -> io::Result<u64> {
    rlimit::Resource::NOFILE.get_soft()
}

#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "as on Unix")]
fn limit() -> io::Result<u64> {
    Ok(u64::MAX)
}

/// Whether `error` comes from a resource shortage of this process: one of its causes is such a system error, or no file
/// descriptor is left now. The second check is for libraries that drop the cause: a failed name resolution looks the same if only
/// a descriptor was missing.
pub fn caused(error: &(dyn Error + 'static)) -> bool {
    std::iter::successors(Some(error), |&error| error.source()).any(is_shortage) || is_out_of_descriptors()
}

fn is_shortage(error: &(dyn Error + 'static)) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| {
        // The error inside an `io::Error` is not among its sources.
        is_code(error.raw_os_error()) || error.get_ref().is_some_and(|inner| is_shortage(inner))
    })
}

/// Whether this system error code means a shortage of the process or its machine.
#[cfg(unix)]
fn is_code(code: Option<i32>) -> bool {
    let shortages = [
        libc::EMFILE,
        libc::ENFILE,
        libc::ENOMEM,
        libc::ENOSPC,
        libc::EDQUOT,
        libc::ENOBUFS,
        // All local ports for that address are in use.
        libc::EADDRNOTAVAIL,
    ];
    code.is_some_and(|code| shortages.contains(&code))
}

#[cfg(not(unix))]
fn is_code(_: Option<i32>) -> bool {
    false
}

/// Whether no further file descriptor can be opened.
#[cfg(unix)]
fn is_out_of_descriptors() -> bool {
    use std::os::fd::AsFd as _;
    io::stderr().as_fd().try_clone_to_owned().is_err_and(|error| is_code(error.raw_os_error()))
}

#[cfg(not(unix))]
fn is_out_of_descriptors() -> bool {
    false
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot connect")]
    struct Connect(#[source] io::Error);

    #[test]
    fn a_shortage_is_found_however_deep_it_lies_among_the_causes() {
        for code in [libc::EMFILE, libc::ENFILE, libc::ENOMEM, libc::ENOSPC, libc::EADDRNOTAVAIL] {
            let error = || io::Error::from_raw_os_error(code);
            assert!(caused(&error()), "{code}");
            assert!(caused(&Connect(error())), "{code}");
            assert!(caused(&Connect(io::Error::other(error()))), "{code}");
        }
    }

    #[test]
    fn what_others_do_is_no_shortage_of_this_process() {
        for code in [libc::ECONNREFUSED, libc::ECONNRESET, libc::EHOSTUNREACH, libc::ETIMEDOUT] {
            assert!(!caused(&Connect(io::Error::from_raw_os_error(code))), "{code}");
        }
        assert!(!caused(&io::Error::other("the answer is no JSON")));
    }
}
