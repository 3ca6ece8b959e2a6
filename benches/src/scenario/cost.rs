//! Bytes and allocations of a job, held against bounds: a change that makes the engine costlier is seen here on any machine.

use std::process::Stdio;

use tokio::process::Command;

use crate::{
    cost::Step,
    error::{BenchError, Outcome},
    report::{Bound, Field, Report, Unit},
};

/// The most that a step may cost, each time: bytes sent, bytes received, allocations. About a sixth above what was measured
/// when the bound was set.
const BOUNDS: [(&str, [f64; 3]); 8] = [
    ("enqueued alone", [715.0, 4.6, 22.8]),
    ("enqueued in bulk", [338.0, 0.0184, 3.8]),
    ("enqueued in bulk, full history", [350.0, 0.0184, 3.8]),
    ("drained", [83.0, 320.0, 23.4]),
    ("drained, full history", [130.0, 320.0, 25.8]),
    ("failed once and retried", [415.0, 685.0, 57.8]),
    ("fetch of 200, 1,000 queued", [1_245.0, 65_900.0, f64::INFINITY]),
    ("acknowledged alone, 1,000 queued", [1_077.0, 4.6, f64::INFINITY]),
];

/// How many times as many bytes a step may take as the same with less beside it. How many jobs share a call of a drain is not
/// the same in every run.
const GROWTH: [(&str, &str, f64); 5] = [
    ("enqueued in bulk, 50,000 queued", "enqueued in bulk, 1,000 queued", 1.01),
    ("fetch of 200, 50,000 queued", "fetch of 200, 1,000 queued", 1.01),
    ("acknowledged alone, 50,000 queued", "acknowledged alone, 1,000 queued", 1.01),
    ("enqueued in bulk, delayed and dead beside", "enqueued in bulk, none beside", 1.01),
    ("drained, delayed and dead beside", "drained, none beside", 1.5),
];

const COUNTS: [&str; 3] = ["bytes sent", "bytes received", "allocations"];

/// The counts do not differ between rounds, so there is one.
pub async fn run(report: &mut Report) -> Outcome {
    for Step { name, sent, received, allocations } in counted().await? {
        let units = [Unit::Bytes, Unit::Bytes, Unit::Count];
        for ((count, unit), value) in COUNTS.iter().zip(units).zip([sent, received, allocations]) {
            report.add(&format!("{name}: {count}"), unit, value);
        }
    }
    for (step, bounds) in BOUNDS {
        for (count, most) in COUNTS.iter().zip(bounds).filter(|(_, most)| most.is_finite()) {
            let row = format!("{step}: {count}");
            report.goal(&row, &row, Field::Value, Bound::AtMost(most));
        }
    }
    for (step, of, times) in GROWTH {
        for count in &COUNTS[..2] {
            let (row, of) = (format!("{step}: {count}"), format!("{of}: {count}"));
            report.goal_ratio(&format!("{row}, of {of}"), &row, &of, Bound::AtMost(times));
        }
    }
    Ok(())
}

/// What the program beside this one counts.
async fn counted() -> Outcome<Vec<Step>> {
    let program = std::env::current_exe().map_err(BenchError::io("find this program"))?.with_file_name("bench-cost");
    let ran = Command::new(&program).stderr(Stdio::inherit()).kill_on_drop(true).output().await;
    let ran = ran.map_err(|source| BenchError::Program { program: program.display().to_string(), source })?;
    if !ran.status.success() {
        return Err(BenchError::Setup("the count of bytes and allocations was broken off".into()));
    }
    let lines = ran.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| Ok(serde_json::from_slice(line)?)).collect()
}
