//! What can be done to a vault, as values: to be repeated, recorded and drawn at random.

use keep_types::{ErrorCode, Event, Fault, Intent};

use super::{MAIN, World};

/// One thing that is done, and acknowledged as a whole.
#[derive(Debug, Clone)]
pub enum Step {
    Generate(String),
    Import(String, u64),
    Delete(String),
    Sign(String),
    Export,
    Offer(usize),
    Connect(usize),
    Disconnect(usize),
    /// Requests of a client at once: numbers and texts. Kind 1 is allowed, kind 0 is refused.
    Ask(usize, u16, Vec<(u64, String)>),
}

impl World {
    /// Does it; gives the events that were released.
    pub fn run(&self, step: &Step) -> Result<Vec<Event>, Fault> {
        match step {
            Step::Generate(text) => self.vault.generate_key(super::name(text)).map(|_| ())?,
            Step::Import(text, seed) => self.import(text, *seed).map(|_| ())?,
            Step::Delete(text) => self.delete(text)?,
            Step::Sign(text) => return Ok(vec![self.sign_as_owner(&self.key(MAIN)?, text)?]),
            Step::Export => self.ask_as_owner(&self.key(MAIN)?, Intent::Export).map(|_| ())?,
            Step::Offer(n) => self.offer(*n)?,
            Step::Connect(n) => self.connect(*n)?,
            Step::Disconnect(n) => self.disconnect(*n)?,
            Step::Ask(n, kind, requests) => {
                let answers = self.ask(*n, *kind, requests);
                let events: Vec<Option<Event>> = answers.into_iter().collect::<Result<_, _>>()?;
                if events.iter().any(|event| event.is_some() != (*kind == 1)) {
                    return Err(Fault::new(ErrorCode::Bug, "the policy decided otherwise"));
                }
                return Ok(events.into_iter().flatten().collect());
            }
        }
        Ok(Vec::new())
    }
}

/// Numbers that look random and are the same in every run (SplitMix64).
pub struct Dice(pub u64);

impl Dice {
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

/// A random script. Every step of it can be done.
pub fn script(dice: &mut Dice, len: usize) -> Vec<Step> {
    let mut steps = vec![Step::Offer(0), Step::Connect(0)];
    let (mut names, mut clients, mut offered) = (Vec::new(), vec![0], 1);
    for n in 0..len as u64 {
        let text = format!("text {n}");
        let some_client = clients[dice.below(clients.len() as u64) as usize];
        match dice.below(12) {
            0 | 1 => {
                names.push(format!("made {n}"));
                steps.push(Step::Generate(format!("made {n}")));
            }
            2 => {
                names.push(format!("brought {n}"));
                steps.push(Step::Import(format!("brought {n}"), n));
            }
            3 if !names.is_empty() => {
                let at = dice.below(names.len() as u64) as usize;
                steps.push(Step::Delete(names.swap_remove(at)));
            }
            4 => steps.push(Step::Sign(text)),
            5 => steps.push(Step::Export),
            6 => {
                steps.extend([Step::Offer(offered), Step::Connect(offered)]);
                clients.push(offered);
                offered += 1;
            }
            7 if clients.len() > 1 => {
                let at = 1 + dice.below(clients.len() as u64 - 1) as usize;
                steps.push(Step::Disconnect(clients.swap_remove(at)));
            }
            8 => steps.push(Step::Ask(some_client, 0, vec![(n, text)])),
            9 => {
                let burst = (0..5).map(|k| (1_000 * (n + 1) + k, format!("burst {n} {k}")));
                steps.push(Step::Ask(some_client, 1, burst.collect()));
            }
            _ => steps.push(Step::Ask(some_client, 1, vec![(n, text)])),
        }
    }
    steps
}
