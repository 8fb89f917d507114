//! The kill switch: every address of the bunker at once.

use keep_signer::Connections;
use keep_types::Fault;
use serde::{Deserialize, Serialize};

use super::StoppedView;
use crate::bunker::running::Running;
use crate::call::{Call, Class, Host};

/// Stops every address, or lets them go on.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Stop {
    pub stopped: bool,
}

impl Call for Stop {
    const NAME: &'static str = "nip46.stop";
    const CLASS: Class = Class::Manage;
    type Reply = StoppedView;

    fn run(self, host: &Host) -> Result<StoppedView, Fault> {
        stop_all(&Connections::new(host.vault().clone()), self.stopped).inspect(|_| {
            host.state::<Running>().changed();
        })
    }
}

/// Whether the kill switch is thrown.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct IsStopped {}

impl Call for IsStopped {
    const NAME: &'static str = "nip46.is_stopped";
    const CLASS: Class = Class::Use;
    type Reply = StoppedView;

    fn run(self, host: &Host) -> Result<StoppedView, Fault> {
        let endpoints = Connections::new(host.vault().clone()).endpoints()?;
        let stopped = !endpoints.is_empty() && endpoints.iter().all(|endpoint| endpoint.stopped);
        Ok(StoppedView { stopped, addresses: endpoints.len() })
    }
}

pub(crate) fn stop_all(connections: &Connections, stopped: bool) -> Result<StoppedView, Fault> {
    let endpoints = connections.endpoints()?;
    for endpoint in &endpoints {
        connections.stop(endpoint.id, stopped)?;
    }
    Ok(StoppedView { stopped, addresses: endpoints.len() })
}
