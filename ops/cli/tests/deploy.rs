//! The deploy files, held against the command line, the configuration and each other. None of them is run here.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::Command,
};

use perch_base::Settings;
use serde_yaml_ng::Value as Yaml;
use toml::{Table, Value as Toml};
use url::Url;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn text(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

fn toml(path: &str) -> Table {
    text(path).parse().unwrap_or_else(|e| panic!("{path}: {e}"))
}

fn compose() -> Yaml {
    let mut yaml: Yaml = serde_yaml_ng::from_str(&text("docker-compose.yml")).expect("docker-compose.yml is YAML");
    yaml.apply_merge().expect("its anchors can be merged");
    yaml
}

fn settings(env: &str, more: &[(String, String)]) -> Result<Settings, perch_base::ConfigError> {
    let vars = [("APP_ENV".to_owned(), env.to_owned())].into_iter().chain(more.iter().cloned());
    Settings::load_from(&root().join("config"), perch_workers::bots().config_schema(), vars)
}

fn production() -> Settings {
    settings("production", &[]).expect("the shipped configuration is valid")
}

/// Panics unless the binary accepts these words of a command line.
fn check_command(command: &str, from: &str) {
    let words: Vec<&str> = command.split_whitespace().collect();
    assert_eq!(words.first(), Some(&"perch"), "{from}: {command}");
    let output =
        Command::new(env!("CARGO_BIN_EXE_perch")).args(&words[1..]).arg("--help").output().expect("perch runs");
    assert!(output.status.success(), "{from}: {command}: {}", String::from_utf8_lossy(&output.stderr));
    if words.get(1) == Some(&"worker") {
        let queues: BTreeSet<String> = production().queues.keys().map(ToString::to_string).collect();
        for queue in &words[2..] {
            assert!(queues.contains(*queue), "{from}: {command}: no such queue in config/");
        }
    }
}

fn check_all_queues_have_a_worker(commands: &[String], from: &str) {
    let workers = commands.iter().filter_map(|command| command.strip_prefix("perch worker "));
    let worked: BTreeSet<&str> = workers.flat_map(str::split_whitespace).collect();
    for queue in production().queues.keys() {
        assert!(worked.contains(queue.as_str()), "{from} has no worker for {queue}");
    }
    for role in ["perch api", "perch scheduler"] {
        assert!(commands.iter().any(|c| c == role), "{from} does not run {role}");
    }
}

/// Names that `.env.example` explains, commented out or not.
fn explained() -> BTreeSet<String> {
    text(".env.example")
        .lines()
        .filter_map(|line| line.trim_start_matches(['#', ' ']).split_once('='))
        .map(|(name, _)| name.to_owned())
        .filter(|name| name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_'))
        .collect()
}

fn check_variable(name: &str, value: Option<&str>, from: &str) {
    if !name.starts_with("PERCH__") {
        assert!(explained().contains(name), "{from}: {name} is not in .env.example");
        return;
    }
    let usual = match name.rsplit("__").next() {
        Some("PLAN") => "enterprise",
        Some("BUDGET") => "{ daily = 1.0, monthly = 20.0 }",
        _ => "https://example.com",
    };
    let value = value.unwrap_or(usual).to_owned();
    if let Err(error) = settings("staging", &[(name.to_owned(), value)]) {
        panic!("{from}: {name}: {error}");
    }
}

fn command_of(service: &Yaml) -> Option<String> {
    let words = service["command"].as_sequence()?;
    Some(words.iter().filter_map(Yaml::as_str).collect::<Vec<_>>().join(" "))
}

fn seconds(text: &str) -> u64 {
    text.trim_end_matches('s').parse().unwrap_or_else(|_| panic!("{text} is not a number of seconds"))
}

fn grace() -> u64 {
    production().engine.shutdown_grace.as_secs()
}

#[test]
fn compose_runs_commands_that_exist_with_variables_that_are_read() {
    let compose = compose();
    let mut commands = Vec::new();
    for (name, service) in compose["services"].as_mapping().expect("services") {
        let name = name.as_str().expect("a name");
        let Some(command) = command_of(service).filter(|c| c.starts_with("perch")) else { continue };
        check_command(&command, name);
        commands.push(command);
        if let Some(test) = service["healthcheck"]["test"].as_sequence() {
            let words: Vec<&str> = test.iter().skip(1).filter_map(Yaml::as_str).collect();
            check_command(&words.join(" "), name);
        }
        for (variable, value) in service["environment"].as_mapping().expect("an environment") {
            check_variable(variable.as_str().expect("a name"), value.as_str(), name);
        }
        let stop = service["stop_grace_period"].as_str().expect("a grace period");
        assert!(seconds(stop) >= grace() + 5, "{name} is killed before its jobs have ended");
        assert_ne!(service["user"].as_str(), None, "{name} must not run as root");
    }
    check_all_queues_have_a_worker(&commands, "docker-compose.yml");
    assert!(commands.contains(&"perch migrate".to_owned()) && commands.contains(&"perch sandbox".to_owned()));
}

/// What `ops/sandbox.env` sets.
fn of_sandbox() -> Vec<(String, String)> {
    let text = text("ops/sandbox.env");
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.split_once('=')).map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// Every web address in these settings, by its key.
fn addresses(path: &str, value: &serde_json::Value) -> Vec<(String, Url)> {
    match value {
        serde_json::Value::String(text) => {
            let url = Url::parse(text).ok().filter(|url| url.scheme().starts_with("http"));
            url.map(|url| (path.to_owned(), url)).into_iter().collect()
        }
        serde_json::Value::Object(map) => {
            map.iter().flat_map(|(key, value)| addresses(&format!("{path}.{key}"), value)).collect()
        }
        serde_json::Value::Array(list) => list.iter().flat_map(|value| addresses(path, value)).collect(),
        _ => Vec::new(),
    }
}

#[test]
fn with_the_sandbox_nothing_leaves_the_machine_whatever_keys_the_shell_has() {
    let sandboxed = settings("staging", &of_sandbox()).expect("ops/sandbox.env is valid");
    let all = addresses("", &serde_json::to_value(&sandboxed.file).expect("settings fit in JSON"));
    let outside: BTreeSet<String> = addresses("", &serde_json::to_value(&production().file).expect("JSON"))
        .into_iter()
        .map(|(key, _)| key)
        .collect();
    assert!(outside.len() > 3 && outside.iter().all(|key| all.iter().any(|(known, _)| known == key)), "{outside:?}");
    for (key, url) in all {
        assert_eq!(url.host_str(), Some("sandbox.localhost"), "{key}: {url}");
    }
    for (name, provider) in &sandboxed.models.providers {
        assert!(sandboxed.secrets.model_keys.contains_key(name), "{name} has no key of the sandbox");
        assert_eq!((provider.budget.daily, provider.budget.monthly), (0.0, 0.0), "{name}");
    }
    let compose = compose();
    let passed_on = compose["services"]["api"]["environment"].as_mapping().expect("an environment");
    for (name, _) in
        of_sandbox().iter().filter(|(name, _)| !name.starts_with("COMPOSE_") && name != "POSTGRES_PASSWORD")
    {
        assert!(passed_on.contains_key(name.as_str()), "docker-compose.yml does not pass on {name}");
    }
}

#[test]
fn compose_keeps_every_job_on_disk_and_opens_nothing_beyond_this_machine() {
    let compose = compose();
    let redis = command_of(&compose["services"]["redis"]).expect("a command");
    assert!(redis.contains("--appendonly yes") && redis.contains("--maxmemory-policy noeviction"), "{redis}");
    assert_eq!(compose["services"]["sandbox"]["profiles"][0].as_str(), Some("sandbox"));
    for (name, service) in compose["services"].as_mapping().expect("services") {
        for port in service["ports"].as_sequence().into_iter().flatten() {
            assert!(port.as_str().is_some_and(|p| p.starts_with("127.0.0.1:")), "{name:?}: {port:?}");
        }
    }
    let metrics = compose["services"]["api"]["environment"]["PERCH__HTTP__METRICS_BIND"].as_str().expect("an address");
    let metrics = metrics.rsplit(':').next().expect("a port");
    for (name, service) in compose["services"].as_mapping().expect("services") {
        for port in service["ports"].as_sequence().into_iter().flatten() {
            assert!(!port.as_str().is_some_and(|p| p.ends_with(metrics)), "{name:?} publishes its metrics");
        }
    }
    let inside = compose["services"]["api"]["environment"]["PORT"].as_str().expect("a port").to_owned();
    let published = compose["services"]["api"]["ports"][0].as_str().expect("a port").to_owned();
    assert!(published.ends_with(&format!(":{inside}")), "{published} is not {inside}");
}

#[test]
fn fly_runs_every_pool_migrates_first_and_kills_nobody_early() {
    let fly = toml("ops/fly/fly.toml");
    let processes = fly["processes"].as_table().expect("processes");
    let commands: Vec<String> = processes.values().filter_map(Toml::as_str).map(str::to_owned).collect();
    for command in &commands {
        check_command(command, "fly.toml");
    }
    check_all_queues_have_a_worker(&commands, "fly.toml");
    let release = fly["deploy"]["release_command"].as_str().expect("a release command");
    assert_eq!(release, "perch migrate");
    check_command(release, "fly.toml");
    assert_eq!(fly["kill_signal"].as_str(), Some("SIGTERM"));
    assert!(fly["kill_timeout"].as_integer().is_some_and(|t| t.unsigned_abs() >= grace() + 5));
    for (name, value) in fly["env"].as_table().expect("env") {
        check_variable(name, value.as_str(), "fly.toml");
    }
    let bind = fly["env"]["PERCH__HTTP__BIND"].as_str().expect("an address");
    let port = fly["http_service"]["internal_port"].as_integer().expect("a port");
    assert!(bind.ends_with(&format!(":{port}")), "{bind} is not port {port}");
    let private = fly["env"]["PERCH__HTTP__METRICS_BIND"].as_str().expect("an address");
    for collected in fly["metrics"].as_array().expect("metrics") {
        let collected = collected["port"].as_integer().expect("a port");
        assert!(private.ends_with(&format!(":{collected}")), "{private} is not port {collected}");
        assert_ne!(collected, port, "the port of the metrics is not the one that everybody reaches");
    }
    assert!(fly.get("services").is_none(), "a further service could open the port of the metrics");
    let checked: BTreeSet<&str> =
        fly["checks"]["ready"]["processes"].as_array().expect("processes").iter().filter_map(Toml::as_str).collect();
    let groups: BTreeSet<&str> = processes.keys().map(String::as_str).filter(|p| *p != "api").collect();
    assert_eq!(checked, groups, "every group but the API has the check");
    let dockerfile = fly["build"]["dockerfile"].as_str().expect("a Dockerfile");
    assert!(root().join("ops/fly").join(dockerfile).exists(), "{dockerfile}");
}

#[test]
fn railway_has_a_service_for_every_role() {
    let mut commands = Vec::new();
    for entry in std::fs::read_dir(root().join("ops/railway")).expect("ops/railway") {
        let path = entry.expect("an entry").path();
        if path.extension().is_none_or(|e| e != "toml") {
            continue;
        }
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        let service = toml(&format!("ops/railway/{name}"));
        let deploy = service["deploy"].as_table().expect("deploy");
        let command = deploy["startCommand"].as_str().expect("a start command").to_owned();
        check_command(&command, &name);
        commands.push(command);
        for before in deploy.get("preDeployCommand").and_then(Toml::as_array).into_iter().flatten() {
            check_command(before.as_str().expect("text"), &name);
        }
        assert!(deploy["drainingSeconds"].as_integer().is_some_and(|t| t.unsigned_abs() >= grace() + 5), "{name}");
        assert_eq!(deploy["healthcheckPath"].as_str(), Some("/ready"), "{name}");
        let dockerfile = service["build"]["dockerfilePath"].as_str().expect("a Dockerfile");
        assert!(root().join(dockerfile).exists(), "{name}: {dockerfile}");
    }
    check_all_queues_have_a_worker(&commands, "ops/railway");
    let migrating = std::fs::read_to_string(root().join("ops/railway/api.toml")).expect("api.toml");
    assert!(migrating.contains("perch migrate"));
}

#[test]
fn the_image_is_built_in_stages_and_does_not_run_as_root() {
    let dockerfile = text("ops/Dockerfile");
    let stages = dockerfile.lines().filter(|line| line.starts_with("FROM ")).count();
    assert!(stages >= 2, "{stages} stages");
    let user = dockerfile.lines().rev().find_map(|line| line.strip_prefix("USER ")).expect("a user");
    assert!(!user.starts_with("root") && !user.starts_with('0'), "{user}");
    assert!(dockerfile.contains("STOPSIGNAL SIGTERM"));
    let health = dockerfile.split("HEALTHCHECK").nth(1).and_then(|h| h.split("CMD ").nth(1)).expect("a health check");
    let words: Vec<String> = serde_json::from_str(health.lines().next().expect("a line")).expect("a list of words");
    check_command(&words.join(" "), "Dockerfile");
}

#[test]
fn the_workflow_runs_what_continuous_integration_runs() {
    let workflow = text(".github/workflows/ci.yml");
    let _: Yaml = serde_yaml_ng::from_str(&workflow).expect("the workflow is YAML");
    assert!(workflow.contains(".ci/run"));
    assert!(text(".ci/run").contains("./ops/test"));
}

#[test]
fn no_script_gives_a_function_the_name_of_another_that_it_reads_in() {
    let library = ["common", "env", "servers", "tools"].map(|name| text(&format!("ops/lib/{name}.sh"))).concat();
    for script in ["ops/run", "ops/test", "ops/perch"] {
        let own = text(script);
        let mut seen = BTreeSet::new();
        for line in library.lines().chain(own.lines()) {
            let Some((name, _)) = line.split_once("() {") else { continue };
            assert!(name.starts_with(' ') || seen.insert(name.to_owned()), "{script}: {name} is there twice");
        }
    }
}
