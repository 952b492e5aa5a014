//! Plays stories of a secret through the AWS SDK for Rust, as a program would that has never heard of Coffer.
//!
//! `coffer-e2e-rust --list` prints the names of the stories; `coffer-e2e-rust <name>..` plays some of them. Each says the step it is at
//! before it takes it, and asserts what came of it, so after a failure the step's name stands right above the reason, and the exit
//! status is not zero. Endpoint, regions and credentials come from the environment; PREFIX is where the names of secrets begin.
//!
//! One attempt per call, because a second one would hide what the first one got.

mod errors;
mod life;
mod lists;
mod place;
mod replicas;
mod rules;

use std::pin::Pin;
use std::process::ExitCode;

use place::Place;

type Story = fn(Place) -> Pin<Box<dyn Future<Output = ()>>>;

const STORIES: &[(&str, Story)] = &[
    ("a secret is made, read and described", |place| Box::pin(life::made(place))),
    ("bytes come back as bytes", |place| Box::pin(life::bytes(place))),
    ("a new value leaves the one before within reach, and a label moves back", |place| {
        Box::pin(life::versions(place))
    }),
    ("description, value and tags are changed", |place| Box::pin(life::changes(place))),
    ("a deletion waits and is taken back, or does not wait", |place| Box::pin(life::deletion(place))),
    ("many calls at once share their connections", |place| Box::pin(life::many_at_once(place))),
    ("a password is made up", |place| Box::pin(life::password(place))),
    ("the paginator of secrets turns every page and ends", |place| Box::pin(lists::secrets(place))),
    ("the paginator of versions turns every page and ends", |place| Box::pin(lists::versions(place))),
    ("the paginator of a batch turns every page and ends", |place| Box::pin(lists::batches(place))),
    ("a batch gives what is there and names what is not", |place| Box::pin(lists::batch_by_ids(place))),
    ("a replica is made, follows and becomes a secret of its own", |place| {
        Box::pin(replicas::followed_and_promoted(place))
    }),
    ("a replica refuses to be changed, and goes on request", |place| {
        Box::pin(replicas::kept_and_removed(place))
    }),
    ("a policy is looked at, kept and taken away", |place| Box::pin(rules::policy(place))),
    ("a function that cannot be invoked rotates nothing", |place| Box::pin(rules::rotation(place))),
    ("errors have the type of their code", |place| Box::pin(errors::typed(place))),
    ("a token makes a second put the same put", |place| Box::pin(errors::repeated(place))),
    ("a signature with another key is refused", |place| Box::pin(errors::wrong_key(place))),
];

fn main() -> ExitCode {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    if wanted == ["--list"] {
        STORIES.iter().for_each(|(name, _)| println!("{name}"));
        return ExitCode::SUCCESS;
    }
    let mut stories = Vec::new();
    for name in &wanted {
        let Some((_, story)) = STORIES.iter().find(|(known, _)| known == name) else {
            eprintln!("there is no story \"{name}\"; --list names those there are");
            return ExitCode::from(2);
        };
        stories.push((name, story));
    }
    if stories.is_empty() {
        eprintln!("name at least one story; --list names those there are");
        return ExitCode::from(2);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    for (name, story) in stories {
        eprintln!("{name}");
        // A failed assertion ends the program here, with the status of a panic.
        runtime.block_on(story(Place::from_environment()));
    }
    ExitCode::SUCCESS
}
