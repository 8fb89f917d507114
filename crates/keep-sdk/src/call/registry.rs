//! Every call, for whoever gets them by name.

use keep_types::{ErrorCode, Fault};
use schemars::{JsonSchema, Schema, SchemaGenerator};

use super::wire::{Wiped, to_wiped_json};
use super::{Call, Class, Host};
use crate::{
    agent, approvals, audit, backup, bitcoin, bunker, frost, info, keys, policies, remote, reserve, secrets,
    sign, unlocking,
};

/// A call by its name.
#[derive(Debug, Clone, Copy)]
pub struct CallEntry {
    /// The stable name.
    pub name: &'static str,
    /// Who may make it.
    pub class: Class,
    /// Whether the session of an agent may make it.
    pub open_to_sessions: bool,
    run: fn(&Host, &str) -> Result<Wiped, Fault>,
    schema: fn(&mut SchemaGenerator) -> Schema,
}

impl CallEntry {
    const fn of<C: Call>() -> Self {
        Self {
            name: C::NAME,
            class: C::CLASS,
            open_to_sessions: C::OPEN_TO_SESSIONS,
            run: run::<C>,
            schema: <C::Reply as JsonSchema>::json_schema,
        }
    }

    /// Makes the call with JSON parameters; the reply is JSON too.
    ///
    /// # Errors
    /// [`ErrorCode::Usage`] when the parameters do not fit; what the call says.
    pub fn run(&self, host: &Host, parameters: &str) -> Result<Wiped, Fault> {
        (self.run)(host, parameters)
    }

    /// The JSON schema of the reply.
    pub fn reply_schema(&self) -> Schema {
        let mut generator = SchemaGenerator::default();
        let root = (self.schema)(&mut generator);
        let definitions = generator.take_definitions(true);
        let mut schema = root;
        if !definitions.is_empty() {
            schema.insert("$defs".to_owned(), serde_json::Value::Object(definitions));
        }
        schema
    }
}

fn run<C: Call>(host: &Host, parameters: &str) -> Result<Wiped, Fault> {
    host.check_open::<C>()?;
    let call: C = serde_json::from_str(parameters).map_err(|error| {
        // It may name a value that has the wrong type. Only whoever sent it is told.
        Fault::new(ErrorCode::Usage, format!("the parameters of {} do not fit: {error}", C::NAME))
    })?;
    to_wiped_json(&call.run(host)?)
}

/// Every call there is. A capability is added here with one line.
#[allow(clippy::too_many_lines, reason = "it is a table, one line for each call")]
pub fn registry() -> &'static [CallEntry] {
    const {
        &[
            CallEntry::of::<info::Info>(),
            CallEntry::of::<info::AcceptDamage>(),
            CallEntry::of::<keys::Generate>(),
            CallEntry::of::<keys::Import>(),
            CallEntry::of::<keys::List>(),
            CallEntry::of::<keys::Find>(),
            CallEntry::of::<keys::Delete>(),
            CallEntry::of::<keys::GenerateMnemonic>(),
            CallEntry::of::<keys::ImportMnemonic>(),
            CallEntry::of::<keys::ExportMnemonic>(),
            CallEntry::of::<keys::Rename>(),
            CallEntry::of::<keys::Note>(),
            CallEntry::of::<secrets::Add>(),
            CallEntry::of::<secrets::List>(),
            CallEntry::of::<secrets::Get>(),
            CallEntry::of::<secrets::Remove>(),
            CallEntry::of::<backup::Make>(),
            CallEntry::of::<unlocking::List>(),
            CallEntry::of::<unlocking::AddPassphrase>(),
            CallEntry::of::<unlocking::AddCode>(),
            CallEntry::of::<unlocking::Remove>(),
            CallEntry::of::<unlocking::ChangePassphrase>(),
            CallEntry::of::<keys::ExportNsec>(),
            CallEntry::of::<keys::ExportNcryptsec>(),
            CallEntry::of::<sign::SignEvent>(),
            CallEntry::of::<reserve::Reset>(),
            CallEntry::of::<bitcoin::GetAddresses>(),
            CallEntry::of::<bitcoin::GetDescriptor>(),
            CallEntry::of::<bitcoin::Analyze>(),
            CallEntry::of::<bitcoin::SignPsbt>(),
            CallEntry::of::<bitcoin::SignMessage>(),
            CallEntry::of::<bitcoin::GetLimits>(),
            CallEntry::of::<bitcoin::SetLimits>(),
            CallEntry::of::<audit::List>(),
            CallEntry::of::<audit::Verify>(),
            CallEntry::of::<frost::Generate>(),
            CallEntry::of::<frost::Split>(),
            CallEntry::of::<frost::List>(),
            CallEntry::of::<frost::Find>(),
            CallEntry::of::<frost::DeleteShare>(),
            CallEntry::of::<frost::Confirm>(),
            CallEntry::of::<frost::GrantCosigner>(),
            CallEntry::of::<frost::RevokeCosigner>(),
            CallEntry::of::<frost::ExportShare>(),
            CallEntry::of::<frost::ExportGroup>(),
            CallEntry::of::<frost::Import>(),
            CallEntry::of::<frost::Recover>(),
            CallEntry::of::<frost::Sign>(),
            CallEntry::of::<frost::SignEvent>(),
            CallEntry::of::<frost::SignFile>(),
            CallEntry::of::<frost::SignPsbt>(),
            CallEntry::of::<frost::AnalyzePsbt>(),
            CallEntry::of::<frost::ProposePsbt>(),
            CallEntry::of::<frost::JoinPsbt>(),
            CallEntry::of::<frost::MakePsbtPackage>(),
            CallEntry::of::<frost::ContributePsbt>(),
            CallEntry::of::<frost::FinishPsbt>(),
            CallEntry::of::<frost::Propose>(),
            CallEntry::of::<frost::Inspect>(),
            CallEntry::of::<frost::SortRound>(),
            CallEntry::of::<frost::Join>(),
            CallEntry::of::<frost::MakePackage>(),
            CallEntry::of::<frost::Contribute>(),
            CallEntry::of::<frost::Finish>(),
            CallEntry::of::<frost::FinishEvent>(),
            CallEntry::of::<frost::FinishRelease>(),
            CallEntry::of::<frost::Refresh>(),
            CallEntry::of::<frost::RefreshStep>(),
            CallEntry::of::<frost::InspectPlan>(),
            CallEntry::of::<frost::Repair>(),
            CallEntry::of::<frost::RepairStep>(),
            CallEntry::of::<frost::RepairOwn>(),
            CallEntry::of::<frost::RotateDevice>(),
            CallEntry::of::<frost::TakeDevices>(),
            CallEntry::of::<audit::Stats>(),
            CallEntry::of::<audit::Fingerprint>(),
            CallEntry::of::<audit::ExportHead>(),
            CallEntry::of::<audit::ExportPage>(),
            CallEntry::of::<audit::PlanRetention>(),
            CallEntry::of::<audit::Retention>(),
            CallEntry::of::<audit::Anchor>(),
            CallEntry::of::<audit::AcceptRollback>(),
            CallEntry::of::<bunker::MakeOffer>(),
            CallEntry::of::<bunker::MakeNamedOffer>(),
            CallEntry::of::<bunker::WithdrawOffer>(),
            CallEntry::of::<agent::Create>(),
            CallEntry::of::<agent::List>(),
            CallEntry::of::<agent::Show>(),
            CallEntry::of::<agent::Revoke>(),
            CallEntry::of::<agent::Begin>(),
            CallEntry::of::<agent::SessionInfoCall>(),
            CallEntry::of::<agent::CheckOperation>(),
            CallEntry::of::<agent::RecordRequest>(),
            CallEntry::of::<agent::GetPublicKey>(),
            CallEntry::of::<agent::SignEvent>(),
            CallEntry::of::<agent::Encrypt>(),
            CallEntry::of::<agent::Decrypt>(),
            CallEntry::of::<agent::ListPending>(),
            CallEntry::of::<agent::ChooseRelays>(),
            CallEntry::of::<agent::AuditTail>(),
            CallEntry::of::<agent::End>(),
            CallEntry::of::<agent::BitcoinAddress>(),
            CallEntry::of::<agent::AnalyzePsbt>(),
            CallEntry::of::<agent::SignPsbt>(),
            CallEntry::of::<agent::SignMessage>(),
            CallEntry::of::<bunker::manage::Apps>(),
            CallEntry::of::<bunker::manage::SetGrant>(),
            CallEntry::of::<bunker::manage::Revoke>(),
            CallEntry::of::<bunker::manage::AutoApprove>(),
            CallEntry::of::<bunker::manage::CreateToken>(),
            CallEntry::of::<bunker::manage::ListTokens>(),
            CallEntry::of::<bunker::manage::RevokeToken>(),
            CallEntry::of::<bunker::manage::Stop>(),
            CallEntry::of::<bunker::manage::IsStopped>(),
            CallEntry::of::<bunker::manage::MoveRelays>(),
            CallEntry::of::<bunker::pairing::PairWith>(),
            CallEntry::of::<remote::AddRemote>(),
            CallEntry::of::<remote::AskRemote>(),
            CallEntry::of::<approvals::Pending>(),
            CallEntry::of::<approvals::ShowPending>(),
            CallEntry::of::<approvals::Decide>(),
            CallEntry::of::<approvals::Vote>(),
            CallEntry::of::<policies::List>(),
            CallEntry::of::<policies::Show>(),
            CallEntry::of::<policies::Put>(),
            CallEntry::of::<policies::Remove>(),
            CallEntry::of::<policies::Explain>(),
            CallEntry::of::<policies::Simulate>(),
            CallEntry::of::<policies::ListPersons>(),
            CallEntry::of::<policies::AddPerson>(),
            CallEntry::of::<policies::RemovePerson>(),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_well_formed() {
        let mut names: Vec<&str> = registry().iter().map(|entry| entry.name).collect();
        for name in &names {
            let plain = |part: &str| {
                !part.is_empty()
                    && part.chars().all(|c| c.is_ascii_lowercase() || c == '_' || c.is_ascii_digit())
            };
            assert!(name.split_once('.').is_some_and(|(what, how)| plain(what) && plain(how)), "{name}");
        }
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), registry().len());
    }

    #[test]
    fn every_reply_has_a_schema() {
        for entry in registry() {
            let schema = serde_json::to_string(&entry.reply_schema()).unwrap();
            assert!(schema.contains("type") || schema.contains("$ref"), "{}: {schema}", entry.name);
        }
    }
}
