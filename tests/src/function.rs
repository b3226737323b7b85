//! One of the project's function binaries, run and invoked as Lambda does it.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use serde_json::Value;
use tokio::sync::Mutex;

use crate::process::{Directory, Process};
use crate::runtime_api::{FunctionError, RuntimeApi};
use crate::{aws, binary, tools};

/// How often the process is looked at while an invocation runs.
const EXIT_POLL: Duration = Duration::from_millis(10);

/// What to run.
#[derive(Debug, Clone)]
pub struct FunctionSpec {
    /// The function's name.
    pub name: String,
    /// The binary that takes the place of `bootstrap`.
    pub binary: PathBuf,
    /// The function's own variables; they win over Lambda's.
    pub environment: Vec<(String, String)>,
    /// The function's time limit.
    pub timeout: Duration,
    /// The function's memory as it is told (nothing enforces it).
    pub memory_mb: u32,
}

impl FunctionSpec {
    /// The project's binary `name`, with 60 seconds and 256 MB.
    ///
    /// # Errors
    /// When it is not built.
    pub fn new(name: &str) -> Result<Self> {
        Ok(Self {
            name: name.to_owned(),
            binary: binary(name)?,
            environment: Vec::new(),
            timeout: Duration::from_mins(1),
            memory_mb: 256,
        })
    }

    /// Sets one variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.environment.push((name.to_owned(), value.into()));
        self
    }

    /// Sets the time limit.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }
}

/// A function: one sandbox, so one invocation at a time. Its process starts with the first invocation, and again after it
/// ended, for whatever reason.
#[derive(Debug)]
pub struct Function {
    spec: FunctionSpec,
    sandbox: Mutex<Option<Sandbox>>,
    logs: Directory,
}

#[derive(Debug)]
struct Sandbox {
    process: Process,
    api: RuntimeApi,
}

impl Function {
    /// A function that runs nothing yet.
    ///
    /// # Errors
    /// When there is no room for its log.
    pub fn new(spec: FunctionSpec) -> Result<Self> {
        Ok(Self { spec, sandbox: Mutex::new(None), logs: Directory::new()? })
    }

    /// Invokes it and answers what it answers (`null` for an empty response).
    ///
    /// # Errors
    /// What the function reports; `Sandbox.Timedout`, `Runtime.ExitError` as Lambda; `Harness` for what cannot happen there.
    pub async fn invoke(&self, payload: &Value) -> Result<Value, FunctionError> {
        self.invoke_within(payload, self.spec.timeout).await
    }

    /// Like [`Function::invoke`], with another time limit for this once.
    ///
    /// # Errors
    /// As [`Function::invoke`].
    pub async fn invoke_within(&self, payload: &Value, timeout: Duration) -> Result<Value, FunctionError> {
        let mut slot = self.sandbox.lock().await;
        let alive = slot.as_mut().is_some_and(|sandbox| matches!(sandbox.process.try_exit(), Ok(None)));
        let mut sandbox = match slot.take().filter(|_| alive) {
            Some(sandbox) => sandbox,
            None => self.start().await.map_err(|error| FunctionError::new("Harness", format!("{error:#}")))?,
        };
        let outcome = tokio::select! {
            biased;
            outcome = sandbox.api.invoke(payload.to_string(), timeout) => outcome,
            error = exit(&mut sandbox.process) => Err(error),
        };
        let over =
            |error: &FunctionError| error.error_type.starts_with("Sandbox.") || error.error_type == "Runtime.ExitError";
        if !outcome.as_ref().is_err_and(over) {
            *slot = Some(sandbox);
        }
        let body = outcome?;
        if body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&body)
            .map_err(|error| FunctionError::new("Harness", format!("response is not JSON: {error}")))
    }

    /// Ends the process as Lambda does with one that is not used, so that the next invocation is a cold start.
    pub async fn recycle(&self) {
        self.sandbox.lock().await.take();
    }

    /// The id of its running process.
    pub async fn pid(&self) -> Option<u32> {
        self.sandbox.lock().await.as_ref().map(|sandbox| sandbox.process.pid())
    }

    /// All that its processes wrote to their standard output and error so far.
    #[must_use]
    pub fn log(&self) -> String {
        let read = |name| std::fs::read(self.logs.path().join(name)).unwrap_or_default();
        [read("stdout"), read("stderr")].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat()
    }

    async fn start(&self) -> Result<Sandbox> {
        let api = RuntimeApi::start(&self.spec.name).await?;
        let mut command = tools::command(&self.spec.binary);
        command
            .current_dir(self.logs.path())
            .envs(lambda_variables(&self.spec))
            .env("AWS_LAMBDA_RUNTIME_API", api.address())
            .envs(self.spec.environment.iter().map(|(name, value)| (name, value)));
        let process = Process::spawn_logging_to(&self.spec.name, command, self.logs.path())?;
        Ok(Sandbox { process, api })
    }
}

/// What Lambda sets and the runtime or the AWS clients read; no session token, which MinIO would refuse.
fn lambda_variables(spec: &FunctionSpec) -> [(&'static str, String); 10] {
    [
        ("AWS_LAMBDA_FUNCTION_NAME", spec.name.clone()),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST".to_owned()),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", spec.memory_mb.to_string()),
        ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand".to_owned()),
        ("AWS_LAMBDA_LOG_GROUP_NAME", format!("/aws/lambda/{}", spec.name)),
        ("AWS_LAMBDA_LOG_STREAM_NAME", "tests".to_owned()),
        ("AWS_REGION", aws::REGION.to_owned()),
        ("AWS_ACCESS_KEY_ID", aws::ACCESS_KEY.to_owned()),
        ("AWS_SECRET_ACCESS_KEY", aws::SECRET_KEY.to_owned()),
        ("TZ", ":UTC".to_owned()),
    ]
}

/// Waits for the end of the process while it should be working.
async fn exit(process: &mut Process) -> FunctionError {
    loop {
        match process.try_exit() {
            Ok(None) => tokio::time::sleep(EXIT_POLL).await,
            Ok(Some(status)) => {
                let message = format!("Error: Runtime exited with error: {status}\n{}", process.log_tail());
                return FunctionError::new("Runtime.ExitError", message);
            }
            Err(error) => return FunctionError::new("Harness", format!("{error:#}")),
        }
    }
}
