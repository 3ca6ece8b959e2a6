use chrono::Utc;
use perch_jobs::JobId;

use super::list::as_json;
use crate::{
    app::App,
    error::OpsError,
    format::{text::printable, time::exact},
    parse::job_id,
};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The job
    #[arg(value_parser = job_id)]
    pub id: JobId,
}

pub async fn run(app: &App, args: &Args) -> Result<(), OpsError> {
    let (_, queues) = app.queues()?;
    for queue in queues.iter() {
        let Some(letter) = queue.dead_letter(args.id).await? else { continue };
        let value = as_json(queue, &letter);
        if app.out.is_json() {
            return app.out.json(&value);
        }
        let now = Utc::now();
        let kind = value["kind"].as_str().unwrap_or("of an unreadable kind");
        app.out.line(format_args!("{}  {kind}  in {}", letter.id, queue.name()))?;
        app.out.line(format_args!("died     {}, after {} attempts", exact(letter.died_at, now), letter.attempts))?;
        app.out.line(format_args!("cause    {}", printable(&letter.cause())))?;
        for error in &letter.errors {
            let attempt = error.attempt.map_or_else(String::new, |n| format!("#{n} "));
            app.out
                .line(format_args!("error    {attempt}{}", printable(error.error.as_deref().unwrap_or("unknown"))))?;
        }
        let envelope = serde_json::to_string_pretty(&value["envelope"]).unwrap_or_default();
        app.out.line(format_args!("envelope {}", printable(&envelope)))?;
        return app.out.line(format_args!("\nbring it back with `perch dead replay --id {}`", letter.id));
    }
    Err(OpsError::Refused(format!("job {0} is not in the dead letters; see `perch jobs show {0}`", args.id)))
}
