//! What this process, and nobody it talks to, has run short of: file descriptors, memory, disk, ports.
//!
//! A job that meets such an error has done nothing wrong and neither has the service it wanted to reach, so the job is put
//! off and no attempt counts (`Classified::for_job`).

use std::{error::Error, io, time::Duration};

/// How long a job is put off that met a shortage of its own process.
pub const PUT_OFF: Duration = Duration::from_secs(5);

/// Raises the limit of file descriptors as far as the system lets this process; answers how many it may have open then.
/// `u64::MAX` stands for a system without such a limit.
pub fn raise_descriptors() -> io::Result<u64> {
    rlimit::increase_nofile_limit(u64::MAX)
}

/// How many file descriptors this process may have open.
pub fn descriptors() -> u64 {
    // A limit that cannot be read limits nothing that could be respected.
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

/// Whether this process itself was short of something when `error` came about: an error of the system says so in its causes,
/// or there is no file descriptor left at this moment. The second look is for libraries that keep no cause: a name that
/// cannot be resolved for want of a descriptor is told as any other that cannot.
pub fn caused(error: &(dyn Error + 'static)) -> bool {
    std::iter::successors(Some(error), |&error| error.source()).any(is_shortage) || is_out_of_descriptors()
}

fn is_shortage(error: &(dyn Error + 'static)) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| {
        // What an `io::Error` wraps is not among its sources.
        is_code(error.raw_os_error()) || error.get_ref().is_some_and(|inner| is_shortage(inner))
    })
}

/// Whether this code of the system means that the process or its machine is short of something.
#[cfg(unix)]
fn is_code(code: Option<i32>) -> bool {
    let shortages = [
        libc::EMFILE,
        libc::ENFILE,
        libc::ENOMEM,
        libc::ENOSPC,
        libc::EDQUOT,
        libc::ENOBUFS,
        // Every local port towards that address is taken.
        libc::EADDRNOTAVAIL,
    ];
    code.is_some_and(|code| shortages.contains(&code))
}

#[cfg(not(unix))]
fn is_code(_: Option<i32>) -> bool {
    false
}

/// Whether one more file descriptor is refused.
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
