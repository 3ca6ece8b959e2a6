//! The process in which an edit runs: this program again, with limits on time and memory.
//!
//! It answers each line of JSON with a line of JSON: first the filter, which it accepts or refuses, then payloads.

use std::{
    io::{self, BufRead as _, BufReader, BufWriter, Read as _, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, ExitCode, ExitStatus, Stdio},
    sync::{Mutex, PoisonError, mpsc},
    thread,
    time::Duration,
};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::edit::Edit;

/// The hidden command that runs this process.
pub const COMMAND: &str = "apply-edit";
/// CPU time for one payload. An edit takes some microseconds.
const CPU: Duration = Duration::from_secs(2);
/// Wall-clock time for one payload, long enough for a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);
/// Address space of the process.
const MEMORY: u64 = 512 * 1024 * 1024;

#[derive(Debug, Serialize, Deserialize)]
struct Setup {
    filter: String,
    /// Most bytes of an edited payload.
    max_bytes: usize,
}

type EditReply = Result<String, String>;

/// A handle to the process that applies an edit.
pub struct EditProcess(Mutex<Running>);

struct Running {
    child: Child,
    to: ChildStdin,
    answers: mpsc::Receiver<String>,
    /// Why the process ended, if it has. Later calls get the same error.
    ended: Option<String>,
}

impl EditProcess {
    /// Starts the process; the error says where the filter is invalid.
    pub fn start(filter: &str, max_bytes: usize) -> Result<Self, String> {
        Self::start_with(&this_program().map_err(cannot)?, filter, max_bytes)
    }

    /// The same with the `perch` binary at `program`.
    pub fn start_with(program: &Path, filter: &str, max_bytes: usize) -> Result<Self, String> {
        let mut child = Command::new(program)
            .arg(COMMAND)
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(cannot)?;
        let pipes = child.stdin.take().zip(child.stdout.take());
        let (to, from) = pipes.ok_or_else(|| cannot(io::ErrorKind::BrokenPipe.into()))?;
        let (sender, answers) = mpsc::channel();
        // Twice the size, since a payload is an escaped string in its line, plus what surrounds it.
        let longest = 2 * max_bytes as u64 + 64 * 1024;
        thread::spawn(move || {
            let mut from = BufReader::new(from);
            let mut line = String::new();
            while from.by_ref().take(longest).read_line(&mut line).is_ok_and(|read| read > 0) {
                if sender.send(std::mem::take(&mut line)).is_err() {
                    return;
                }
            }
        });
        let mut running = Running { child, to, answers, ended: None };
        running.ask(&Setup { filter: filter.to_owned(), max_bytes })?;
        Ok(Self(Mutex::new(running)))
    }

    /// Applies the edit to a payload.
    pub fn apply(&self, payload: &RawValue) -> Result<Box<RawValue>, String> {
        let mut running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let edited = running.ask(payload.get())?;
        RawValue::from_string(edited).map_err(|error| format!("the edit does not answer with JSON: {error}"))
    }
}

impl Running {
    fn ask<T: Serialize + ?Sized>(&mut self, question: &T) -> EditReply {
        if let Some(why) = &self.ended {
            return Err(why.clone());
        }
        // The write fails when the process has ended; the reason is found below.
        let _ = serde_json::to_writer(&mut self.to, question).is_ok() && self.to.write_all(b"\n").is_ok();
        let answer = self.answers.recv_timeout(PATIENCE);
        let answer = answer.map(|line| serde_json::from_str::<EditReply>(&line));
        if let Ok(Ok(answer)) = answer {
            return answer;
        }
        let why = self.end(matches!(answer, Err(mpsc::RecvTimeoutError::Timeout)));
        self.ended = Some(why.clone());
        Err(why)
    }

    fn end(&mut self, is_late: bool) -> String {
        const ENDLESS: &str = "the edit comes to no end: it was broken off after 2 s of processor time";
        if is_late {
            let _ = self.child.kill();
            let _ = self.child.wait();
            return ENDLESS.to_owned();
        }
        match self.child.wait() {
            Ok(status) if is_out_of_time(status) => ENDLESS.to_owned(),
            Ok(_) => format!("the edit needs more than {} MiB of memory, or nests too deeply", MEMORY / 1024 / 1024),
            Err(error) => format!("the edit broke off: {error}"),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is what map_err hands over")]
fn cannot(error: io::Error) -> String {
    format!("the edit cannot be run in a process of its own: {error}")
}

fn is_out_of_time(status: ExitStatus) -> bool {
    use std::os::unix::process::ExitStatusExt as _;
    status.signal() == Some(rustix::process::Signal::XCPU.as_raw())
}

/// The running program, even after a deploy replaced its file.
fn this_program() -> io::Result<PathBuf> {
    let running = Path::new("/proc/self/exe");
    if running.exists() { Ok(running.to_owned()) } else { std::env::current_exe() }
}

/// Runs the process: answers lines until standard input ends.
pub fn serve() -> ExitCode {
    match bound().and_then(|()| answer_all()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn bound() -> io::Result<()> {
    let at_most = |most| Rlimit { current: Some(most), maximum: Some(most) };
    setrlimit(Resource::Core, at_most(0))?;
    setrlimit(Resource::As, at_most(MEMORY))?;
    Ok(())
}

/// Limits the further CPU time of the process; the system kills it after that.
fn bound_time() -> io::Result<()> {
    let had = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let until = u64::try_from(had.tv_sec).unwrap_or(0) + CPU.as_secs() + 1;
    Ok(setrlimit(Resource::Cpu, Rlimit { current: Some(until), maximum: getrlimit(Resource::Cpu).maximum })?)
}

fn answer_all() -> io::Result<()> {
    let (mut lines, mut to) = (io::stdin().lock().lines(), BufWriter::new(io::stdout()));
    let mut answer = |answer: &EditReply| {
        serde_json::to_writer(&mut to, answer)?;
        to.write_all(b"\n")?;
        to.flush()
    };
    bound_time()?;
    let Some(setup) = lines.next().transpose()? else { return Ok(()) };
    let Setup { filter, max_bytes } = serde_json::from_str(&setup)?;
    let edit = match Edit::parse(&filter) {
        Ok(edit) => edit,
        Err(error) => return answer(&Err(error)),
    };
    answer(&Ok(String::new()))?;
    for payload in lines {
        bound_time()?;
        let payload: String = serde_json::from_str(&payload?)?;
        let edited =
            RawValue::from_string(payload).map_err(|error| error.to_string()).and_then(|payload| edit.apply(&payload));
        answer(&edited.and_then(|edited| match edited.get().len() {
            bytes if bytes > max_bytes => Err(format!("the new payload is {bytes} bytes; the limit is {max_bytes}")),
            _ => Ok(edited.get().to_owned()),
        }))?;
    }
    Ok(())
}
