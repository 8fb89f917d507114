//! The native part of the Python package `keep_agent`: a connection to the daemon that holds the vault.
#![forbid(unsafe_code)]

use std::path::PathBuf;

use keep_sdk::agent::{Reach, reach};
use keep_sdk::{Agent, Fault, Keep};
use pyo3::exceptions::PyException;
use pyo3::prelude::*;

pyo3::create_exception!(
    keep_agent._native,
    NativeError,
    PyException,
    "A failure: code, blame, message and hint."
);

fn raised(fault: &Fault) -> PyErr {
    let (code, blame) = (fault.code().as_str(), blame(fault.code()));
    NativeError::new_err((code, blame, fault.message().to_owned(), fault.hint().to_owned()))
}

/// Who has to act, in a word.
fn blame(code: keep_sdk::ErrorCode) -> String {
    format!("{:?}", code.blame()).to_lowercase()
}

/// A session, and the connection over which it is used.
#[pyclass(frozen, module = "keep_agent._native")]
struct Connection {
    keep: Keep,
    ends: bool,
}

#[pymethods]
impl Connection {
    /// Connects with a session's token, or makes a session of what the owner lets every agent do.
    #[new]
    #[pyo3(signature = (scope=None, token=None, key=None, home=None, in_process=false))]
    fn new(
        py: Python<'_>,
        scope: Option<&str>,
        token: Option<String>,
        key: Option<String>,
        home: Option<PathBuf>,
        in_process: bool,
    ) -> PyResult<Self> {
        let wanted = Reach { home, token: token.map(Into::into), key, in_process };
        let scope =
            scope.map(keep_sdk::agent::SessionScope::from_json).transpose().map_err(|f| raised(&f))?;
        let reached = py.detach(|| reach(&wanted, scope)).map_err(|fault| raised(&fault))?;
        Ok(Self { keep: reached.keep, ends: reached.ends })
    }

    /// Makes a call: its name and its parameters as JSON. The reply is JSON.
    fn call(&self, py: Python<'_>, name: &str, parameters: &str) -> PyResult<String> {
        let reply = py.detach(|| self.keep.call_by_name(name, parameters)).map_err(|fault| raised(&fault))?;
        Ok(String::from_utf8_lossy(&reply).into_owned())
    }

    /// Ends the session, if it was made here.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        if !self.ends {
            return Ok(());
        }
        py.detach(|| Agent::new(self.keep.clone()).end()).map_err(|fault| raised(&fault))
    }
}

/// Every error code, with its blame.
#[pyfunction]
fn error_codes() -> Vec<(&'static str, String)> {
    keep_sdk::ErrorCode::ALL.iter().map(|code| (code.as_str(), blame(*code))).collect()
}

#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Connection>()?;
    module.add("NativeError", module.py().get_type::<NativeError>())?;
    module.add_function(wrap_pyfunction!(error_codes, module)?)
}
