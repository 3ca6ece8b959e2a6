use std::{
    io::{Read, Write},
    net::TcpListener,
    sync::{Arc, Mutex, mpsc},
    thread,
};

use tracing::field::Empty;
use tracing_subscriber::fmt::MakeWriter;

use super::*;

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().expect("no test panics while writing").clone()).expect("logs are UTF-8")
    }
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no test panics while writing").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Lines {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

fn settings() -> TelemetrySettings {
    TelemetrySettings {
        log_format: LogFormat::Text,
        log_filter: "info".into(),
        otlp_endpoint: String::new(),
        trace_ratio: 1.0,
    }
}

/// Runs `work` under its own subscriber and returns what it logged.
fn logged(settings: &TelemetrySettings, work: impl FnOnce()) -> String {
    let lines = Lines::default();
    let (subscriber, guard) =
        subscriber("perch-test", settings, BoxMakeWriter::new(lines.clone()), false).expect("valid settings");
    tracing::subscriber::with_default(subscriber, work);
    drop(guard);
    lines.text()
}

#[test]
fn a_json_line_is_one_object_with_the_event_flat_and_its_span_beside_it() {
    let line = logged(&TelemetrySettings { log_format: LogFormat::Json, ..settings() }, || {
        let _span = tracing::info_span!("job", job_id = "01J", attempt = 2).entered();
        tracing::info!(queue = "extraction", "started");
    });
    let json: serde_json::Value = serde_json::from_str(&line).expect("one JSON object");
    assert_eq!(json["message"], "started");
    assert_eq!(json["queue"], "extraction");
    assert_eq!(json["span"]["job_id"], "01J");
    assert_eq!(json["span"]["attempt"], 2);
}

#[test]
fn what_a_span_learns_later_stands_in_its_lines_and_the_last_value_of_a_name_counts() {
    for log_format in [LogFormat::Text, LogFormat::Json] {
        let line = logged(&TelemetrySettings { log_format, ..settings() }, || {
            let span = tracing::info_span!("http", route = "/jobs", key = Empty, ms = Empty).entered();
            span.record("key", "two \"words\"");
            span.record("ms", 1.5);
            span.record("ms", 2);
            tracing::info!("answered");
        });
        match log_format {
            LogFormat::Text => {
                assert!(line.contains(r#"http{route=/jobs key="two \"words\"" ms=1.5 ms=2}"#), "{line}");
            }
            LogFormat::Json => {
                let json: serde_json::Value = serde_json::from_str(&line).expect("one JSON object");
                let expected = serde_json::json!({"name": "http", "route": "/jobs", "key": "two \"words\"", "ms": 2});
                assert_eq!(json["span"], expected);
            }
        }
    }
}

#[test]
fn a_log_filter_chooses_lines_by_level_by_target_and_by_the_span_they_are_in() {
    let filter = "warn,perch_base=info,[job{attempt=2}]=debug";
    let text = logged(&TelemetrySettings { log_filter: filter.into(), ..settings() }, || {
        tracing::debug!("one");
        tracing::info!("two");
        tracing::info!(target: "elsewhere", "three");
        tracing::warn!(target: "elsewhere", "four");
        let in_job =
            |attempt: u64| tracing::info_span!("job", attempt).in_scope(|| tracing::debug!(attempt, "in a job"));
        in_job(1);
        in_job(2);
        let _other = tracing::info_span!(target: "elsewhere", "other").entered();
        tracing::debug!("five");
    });
    let said: Vec<&str> = text.lines().filter_map(|line| line.split(": ").last()).collect();
    assert_eq!(said, ["two", "four", "in a job attempt=2"], "{text}");
}

#[test]
fn a_span_of_no_fields_that_learns_something_later_is_still_one_json_object() {
    let line = logged(&TelemetrySettings { log_format: LogFormat::Json, ..settings() }, || {
        let span = tracing::info_span!("sync", moved = Empty).entered();
        tracing::info!("begun");
        span.record("moved", 3_u64);
        tracing::info!("done");
    });
    let spans: Vec<serde_json::Value> = line.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(spans[0]["span"], serde_json::json!({"name": "sync"}));
    assert_eq!(spans[1]["span"], serde_json::json!({"name": "sync", "moved": 3}));
}

#[test]
fn a_line_of_text_quotes_what_is_no_plain_word_and_names_every_source_of_an_error() {
    #[derive(Debug, thiserror::Error)]
    #[error("the provider cannot be reached")]
    struct Outer(#[source] io::Error);
    let error = Outer(io::Error::other("connection refused"));
    let line = logged(&settings(), || {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            word = "plain",
            words = "not plain",
            empty = "",
            shown = %"two words",
            debug = ?Some("x"),
            n = -1,
            sure = true,
            "it failed"
        );
    });
    let fields = "it failed error=the provider cannot be reached error.sources=[connection refused] word=plain \
                  words=\"not plain\" empty=\"\" shown=two words debug=Some(\"x\") n=-1 sure=true\n";
    assert!(line.ends_with(fields), "{line}");
}

#[test]
fn nothing_in_a_line_steers_the_terminal_that_shows_it() {
    let line = logged(&settings(), || {
        let odd = "a\u{1b}[2Jb\u{9b}c";
        let _span = tracing::info_span!("job", text = odd, shown = %odd).entered();
        tracing::info!(text = odd, shown = %odd, debug = ?odd, "{odd}");
    });
    assert!(!line.chars().any(|c| c.is_control() && c != '\n'), "{line:?}");
    assert_eq!(line.matches("[2Jb").count(), 6, "{line:?}");
}

#[test]
fn text_that_goes_to_a_terminal_has_names_that_are_told_from_values() {
    let lines = Lines::default();
    let (subscriber, guard) =
        subscriber("perch-test", &settings(), BoxMakeWriter::new(lines.clone()), true).expect("valid settings");
    tracing::subscriber::with_default(subscriber, || tracing::warn!(queue = "extraction", "paused"));
    drop(guard);
    let line = lines.text();
    assert!(line.contains("paused \u{1b}[3mqueue\u{1b}[0m\u{1b}[2m=\u{1b}[0mextraction"), "{line:?}");
}

#[test]
fn text_that_goes_to_no_terminal_has_no_colour() {
    let line = logged(&settings(), || tracing::warn!("plain"));
    assert!(line.contains("plain") && !line.contains('\u{1b}'), "{line:?}");
}

/// With an export of traces to an unreachable collector, and without an export.
fn exported_or_not(settings: &TelemetrySettings, work: impl Fn()) {
    for otlp_endpoint in ["", "http://127.0.0.1:9"] {
        logged(&TelemetrySettings { otlp_endpoint: otlp_endpoint.into(), ..settings.clone() }, &work);
    }
}

#[test]
fn a_span_that_continues_a_trace_has_its_trace_id_with_or_without_an_export() {
    exported_or_not(&settings(), || {
        let enqueue = tracing::info_span!("enqueue");
        let traceparent = enqueue.in_scope(current_traceparent).expect("a span has a trace");
        let trace_id = enqueue.in_scope(current_trace_id).expect("a span has a trace");
        assert!(traceparent.starts_with(&format!("00-{trace_id}-")) && traceparent.ends_with("-01"), "{traceparent}");

        let run = tracing::info_span!("run");
        assert!(set_parent(&run, &traceparent));
        assert_eq!(run.in_scope(current_trace_id), Some(trace_id));
        assert_ne!(run.in_scope(current_traceparent), Some(traceparent));
    });
}

#[test]
fn a_span_within_another_has_its_trace_whichever_is_asked_first_and_every_answer_is_the_same() {
    exported_or_not(&settings(), || {
        let outer = tracing::info_span!("outer");
        let inner = outer.in_scope(|| tracing::debug_span!("unseen").in_scope(|| tracing::info_span!("inner")));
        let of_inner = inner.in_scope(current_traceparent).expect("a span has a trace");
        let of_outer = outer.in_scope(current_traceparent).expect("a span has a trace");
        assert_eq!(trace_id_of(&inner), trace_id_of(&outer));
        assert_ne!(of_inner, of_outer);
        assert_eq!(inner.in_scope(current_traceparent), Some(of_inner));
        assert_eq!(outer.in_scope(current_traceparent), Some(of_outer));
        assert_ne!(trace_id_of(&tracing::info_span!("other")), trace_id_of(&outer));
    });
}

#[test]
fn a_span_whose_ids_were_told_keeps_them() {
    exported_or_not(&settings(), || {
        let span = tracing::info_span!("run");
        let told = span.in_scope(current_traceparent).expect("a span has a trace");
        assert!(!set_parent(&span, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"));
        assert_eq!(span.in_scope(current_traceparent), Some(told));
    });
}

#[test]
fn a_trace_that_is_not_sampled_still_links_and_a_quiet_log_costs_no_trace_id() {
    exported_or_not(&TelemetrySettings { trace_ratio: 0.0, log_filter: "off".into(), ..settings() }, || {
        let traceparent = tracing::info_span!("enqueue").in_scope(current_traceparent).expect("a span has a trace");
        assert!(traceparent.ends_with("-00"), "{traceparent}");
        let run = tracing::info_span!("run");
        assert!(set_parent(&run, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"));
        let sampled = run.in_scope(current_traceparent).expect("a span has a trace");
        assert!(sampled.starts_with("00-0af7651916cd43dd8448eb211c80319c-") && sampled.ends_with("-01"), "{sampled}");
    });
}

#[test]
fn what_is_no_traceparent_is_refused_and_outside_a_span_there_is_none() {
    exported_or_not(&settings(), || {
        assert_eq!(current_traceparent(), None);
        let span = tracing::info_span!("run");
        for text in ["", "00", "zz-0-0-0", "00-00000000000000000000000000000000-0000000000000000-01"] {
            assert!(!set_parent(&span, text), "{text:?}");
        }
        assert!(span.in_scope(current_traceparent).is_some());
    });
}

// In a runtime of one thread, because there a flush that needs the runtime would never end.
#[tokio::test]
async fn spans_that_wait_for_export_are_sent_when_the_guard_is_dropped() {
    let collector = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let endpoint = format!("http://{}", collector.local_addr().expect("bound"));
    let (sent, received) = mpsc::channel();
    thread::spawn(move || {
        let (mut stream, _) = collector.accept().expect("the exporter connects");
        let mut request = Vec::new();
        let mut chunk = [0; 4096];
        while !String::from_utf8_lossy(&request).contains("publish_once") {
            match stream.read(&mut chunk) {
                Ok(0) | Err(_) => break,
                Ok(n) => request.extend_from_slice(&chunk[..n]),
            }
        }
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
        let _ = sent.send(String::from_utf8_lossy(&request).into_owned());
    });

    logged(&TelemetrySettings { otlp_endpoint: endpoint, ..settings() }, || {
        tracing::info_span!("publish_once").in_scope(|| tracing::info!("published"));
    });

    let request = received.recv_timeout(Duration::from_secs(10)).expect("the collector was called");
    assert!(request.starts_with("POST /v1/traces "), "{request}");
    assert!(request.contains("perch-test"), "the service is named: {request}");
}

#[test]
fn a_log_filter_that_cannot_be_read_is_refused_by_name() {
    let settings = TelemetrySettings { log_filter: "perch=loudly".into(), ..settings() };
    let error = subscriber("perch-test", &settings, BoxMakeWriter::new(io::sink), false).err().expect("refused");
    assert!(error.to_string().contains("perch=loudly"), "{error}");
}

#[test]
fn durations_are_counted_in_buckets_and_the_recorder_is_installed_once() {
    let handle = metrics().expect("nothing else installs a recorder");
    ::metrics::histogram!("perch_test_duration_seconds").record(0.02);
    let again = metrics().expect("a second call answers the same");
    let text = again.render();
    assert!(text.contains(r#"perch_test_duration_seconds_bucket{le="0.025"} 1"#), "{text}");
    assert_eq!(handle.render(), text);
}
