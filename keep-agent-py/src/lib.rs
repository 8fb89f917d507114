//! The native part of the Python package `keep_agent`: a session at the daemon that holds the vault.
#![forbid(unsafe_code)]

use std::sync::mpsc::channel;
use std::time::Duration;

use keep_sdk::Fault;
use keep_sdk::agent::{self, Failure, Interrupt};
use pyo3::exceptions::PyException;
use pyo3::prelude::*;
use pyo3::types::PyString;

pyo3::create_exception!(keep_agent._native, NativeError, PyException, "A failure: code, message and hint.");

fn raised(fault: &Fault) -> PyErr {
    let Failure { code, message, hint, .. } = fault.into();
    NativeError::new_err((code, message.to_owned(), hint.to_owned()))
}

/// How often Python is asked whether a signal came while a bunker is waited for.
const LOOK: Duration = Duration::from_millis(50);

/// Does what may wait for a bunker. A signal whose handler raises, as that of Ctrl-C does, gives it up.
fn interruptible<T: Send>(py: Python<'_>, work: impl FnOnce() -> Result<T, Fault> + Send) -> PyResult<T> {
    let interrupt = Interrupt::default();
    let (tell, mut outcome) = channel();
    std::thread::scope(|scope| {
        scope.spawn(|| tell.send(interrupt.during(work)));
        loop {
            let heard = &mut outcome;
            if let Ok(outcome) = py.detach(move || heard.recv_timeout(LOOK)) {
                return outcome.map_err(|fault| raised(&fault));
            }
            py.check_signals().inspect_err(|_| interrupt.give_up())?;
        }
    })
}

/// A session, and the way to the vault that judges it.
#[pyclass(frozen, module = "keep_agent._native")]
struct Link(agent::Link);

#[pymethods]
impl Link {
    /// Reaches the vault through a session, as the options say (JSON).
    #[new]
    fn new(py: Python<'_>, options: &str) -> PyResult<Self> {
        interruptible(py, || agent::Link::open_json(options)).map(Self)
    }

    /// Makes a call: its name and its parameters as JSON. The reply is JSON.
    fn call<'py>(&self, py: Python<'py>, name: &str, parameters: &str) -> PyResult<Bound<'py, PyString>> {
        let call = || self.0.call(name, parameters);
        let reply = match self.0.is_at_bunker() {
            true => interruptible(py, call)?,
            false => py.detach(call).map_err(|fault| raised(&fault))?,
        };
        Ok(PyString::new(py, &String::from_utf8_lossy(&reply)))
    }

    /// Ends the session, if it was made here.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| self.0.close()).map_err(|fault| raised(&fault))
    }
}

/// Every error code with its blame, as JSON.
#[pyfunction]
fn error_codes() -> String {
    agent::error_codes_json()
}

#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Link>()?;
    module.add("NativeError", module.py().get_type::<NativeError>())?;
    module.add_function(wrap_pyfunction!(error_codes, module)?)
}
