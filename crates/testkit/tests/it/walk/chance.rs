//! What the walk asks next. Few names, tokens and values make collisions, retries and deleted names common; what is asked half with
//! the state before one's eyes gets further than what is asked blindly.

use coffer_testkit::SimEntropy;

use crate::{
    stage::token,
    twin::{Call, Request, Rules, Twin, policy},
};

pub(crate) const REGIONS: [&str; 3] = ["eu-west-1", "us-east-1", "us-west-2"];
pub(crate) const NAMES: [&str; 4] = ["a", "/b", "c-d", "e!f"];
const TOKENS: usize = 12;
const VALUES: [&str; 3] = ["one", "two", "three"];
const LABELS: [&str; 5] = ["AWSCURRENT", "AWSPREVIOUS", "AWSPENDING", "blue", "green"];
const FUNCTIONS: [&str; 4] = ["rotate-a", "rotate-a", "rotate-b", "missing"];
const EXPRESSIONS: [&str; 14] = [
    "rate(10 days)",
    "rate(1 day)",
    "rate(4 hours)",
    "rate(7 hours)",
    "rate(36 hours)",
    "cron(0 10 * * ? *)",
    "cron(0 8/8 * * ? *)",
    "cron(0 18 ? * SAT *)",
    // From here on they are refused.
    "rate(3 hours)",
    "rate(1000 days)",
    "rate(300 minutes)",
    "cron(5 10 * * ? *)",
    "cron(0 10 * * * *)",
    "every day",
];

/// How often a step asks something that was asked before, word for word or nearly so: once in so many.
const REPEATS: usize = 9;
const VARIES: usize = 12;

pub(crate) struct Chance(pub(crate) SimEntropy);

impl Chance {
    pub(crate) fn below(&self, bound: usize) -> usize {
        self.0.below(bound)
    }

    pub(crate) fn once_in(&self, times: usize) -> bool {
        self.below(times) == 0
    }

    fn pick<T: Copy>(&self, things: &[T]) -> T {
        things[self.below(things.len())]
    }

    fn word(&self, words: &[&str]) -> String {
        self.pick(words).to_owned()
    }

    fn maybe<T>(&self, one_in: usize, make: impl FnOnce(&Self) -> T) -> Option<T> {
        self.once_in(one_in).then(|| make(self))
    }

    fn token(&self) -> String {
        token(1 + self.below(TOKENS))
    }

    fn value(&self) -> (String, String) {
        // Most of the time a token goes with one value, or nearly every put would be a conflict.
        let number = 1 + self.below(TOKENS);
        let value = match self.below(5) {
            0 => self.word(&VALUES),
            _ => VALUES[number % VALUES.len()].to_owned(),
        };
        (token(number), value)
    }

    fn tags(&self) -> Vec<(String, String)> {
        let keys = ["x", "y", "z"];
        let from = self.below(3);
        keys.iter()
            .skip(from)
            .take(self.below(3))
            .map(|key| ((*key).to_owned(), self.word(&VALUES)))
            .collect()
    }

    fn labels(&self) -> Vec<String> {
        let mut labels: Vec<String> = (0..=self.below(3)).map(|_| self.word(&LABELS)).collect();
        if self.below(3) > 0 {
            labels.dedup();
        }
        labels
    }

    /// One or two regions, and seldom the one in which it is asked.
    fn regions(&self, here: &str) -> Vec<&'static str> {
        let mut regions: Vec<_> = (0..1 + self.below(2)).map(|_| self.pick(&REGIONS)).collect();
        if self.below(8) > 0 {
            regions.retain(|region| *region != here);
            regions.dedup();
        }
        if regions.is_empty() { vec![REGIONS[usize::from(here == REGIONS[0])]] } else { regions }
    }

    fn rules(&self) -> Rules {
        let expression = self.pick(if self.once_in(4) { &EXPRESSIONS } else { &EXPRESSIONS[..8] });
        let (days, expression) = match self.below(12) {
            0 => (None, None),
            1 => (Some(3), Some(expression)),
            2..6 => (Some(self.pick(&[1, 3, 30, 1000])), None),
            _ => (None, Some(expression)),
        };
        Rules {
            days,
            expression,
            duration: self.maybe(3, |chance| chance.pick(&["1h", "2h", "5h", "14h", "24h"])),
        }
    }

    fn policy(&self) -> String {
        match self.below(8) {
            0 => policy("nobody"),
            1 => String::from("{"),
            2 | 3 => policy("*"),
            _ => policy(self.pick(&["444455556666", "777788889999"])),
        }
    }

    fn policy_name(&self) -> Option<&'static str> {
        self.maybe(3, |chance| chance.pick(&["default", "default", "Default", "cross-account-replication"]))
    }

    /// Something new, something that was asked before, or something like it.
    pub(crate) fn call(&self, twin: &Twin, past: &[Call]) -> Call {
        if past.is_empty() || self.below(REPEATS) > 0 {
            return self.new_call(twin);
        }
        let mut call = past[self.below(past.len())].clone();
        if self.once_in(3) {
            let other =
                if self.once_in(2) { (Some(self.token()), None) } else { (None, Some(self.word(&VALUES))) };
            call.request.vary(other.0, other.1);
        }
        if self.once_in(VARIES) {
            call.region = self.pick(&REGIONS);
        }
        call
    }

    fn new_call(&self, twin: &Twin) -> Call {
        let at = self.below(NAMES.len());
        let name = NAMES[at].to_owned();
        // Every name is at home somewhere, where most is asked of it.
        let home = REGIONS[at % REGIONS.len()];
        let region = if self.below(5) < 3 { home } else { self.pick(&REGIONS) };
        let holder = |label: &str| twin.secret(region, &name)?.holder(label).map(str::to_owned);
        let request = match self.below(50) {
            0..5 => Request::Create {
                value: self.maybe(2, Self::value),
                description: self.maybe(2, |chance| chance.word(&["", "text"])),
                tags: self.maybe(3, Self::tags),
                replicas: self.maybe(3, |chance| (chance.regions(region), chance.once_in(3))),
                name,
            },
            5..12 => {
                let mut value = self.value();
                let mut labels = self.maybe(2, Self::labels);
                // As functions do.
                if self.once_in(3)
                    && let Some(pending) = holder("AWSPENDING")
                {
                    value.0 = pending;
                    labels = self.maybe(2, |_| vec![String::from("AWSPENDING")]).or(labels);
                }
                Request::Put { name, value, labels }
            }
            12..15 => Request::Update {
                name,
                value: self.maybe(2, Self::value),
                description: self.maybe(2, |chance| chance.word(&["", "other text"])),
                key: self.once_in(3),
            },
            15..22 => {
                let label = self.word(&LABELS);
                let from = match self.below(3) {
                    0 => self.maybe(2, Self::token),
                    _ => holder(&label),
                };
                let to = match self.below(4) {
                    0 => holder("AWSPENDING"),
                    1 => None,
                    _ => Some(self.token()),
                };
                Request::Move { name, label, from, to }
            }
            22..25 => Request::Get {
                name,
                id: self.maybe(3, Self::token),
                label: self.maybe(2, |chance| chance.word(&LABELS)),
            },
            25..27 => Request::Delete {
                name,
                days: self.maybe(2, |chance| [7, 8, 30, 6][chance.below(4)]),
                force: self.once_in(3),
            },
            27 => Request::Restore { name },
            28 => Request::Tag { name, tags: self.tags() },
            29 => Request::Untag { name, keys: vec![self.word(&["x", "y", "z", "unknown"])] },
            30..34 => Request::Replicate { name, regions: self.regions(region), overwrites: self.once_in(3) },
            34..36 => Request::Unreplicate { name, regions: self.regions(region) },
            36..38 => {
                let request = Request::Promote { name };
                return Call { region: self.pick(&REGIONS), request };
            }
            38..43 => Request::Rotate {
                name,
                token: self.token(),
                function: self.maybe(2, |chance| {
                    format!("arn:aws:lambda:{region}:111122223333:function:{}", chance.pick(&FUNCTIONS))
                }),
                rules: self.maybe(2, Self::rules),
                immediately: self.below(3) > 0,
            },
            43 => Request::Cancel { name },
            44..47 => Request::PutPolicy {
                name,
                policy: self.policy(),
                blocks_public: self.once_in(2),
                policy_name: self.policy_name(),
            },
            47 => Request::GetPolicy { name, policy_name: self.policy_name() },
            48 => Request::DeletePolicy { name, policy_name: self.policy_name() },
            _ => Request::ListPolicies { name },
        };
        Call { region, request }
    }
}

#[test]
fn one_seed_is_one_walk() {
    let walk = |seed| {
        let chance = Chance(SimEntropy::seeded(seed));
        let mut past = Vec::new();
        for _ in 0..50 {
            past.push(chance.call(&Twin::default(), &past));
        }
        format!("{past:?}")
    };
    assert_eq!(walk(1), walk(1));
    assert_ne!(walk(1), walk(2));
}
