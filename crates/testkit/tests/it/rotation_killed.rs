//! Whatever moment of a rotation a process ends at: some version of the secret logs in then, and the current one soon after.
//!
//! The database is simulated and knows users with their passwords; the function does what AWS's published ones do, with one user or with
//! two who take turns. A process ends at a named point of a step, or at any commit of the store.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use coffer_core::{Caller, FunctionCall};
use coffer_model::secretsmanager as sm;
use coffer_store::{
    EngineError,
    testing::{Call, Fault},
};
use coffer_testkit::{Engine, SimEntropy, TestServer, deployed, function_error};
use coffer_types::{RequestId, Secret};
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::{
    campaign::{rounds, seed},
    stage::{Stage, token},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Strategy {
    SingleUser,
    AlternatingUsers,
}

const STRATEGIES: [Strategy; 2] = [Strategy::SingleUser, Strategy::AlternatingUsers];

/// Where a process can end while a function is at work, in order.
const POINTS: [&str; 10] = [
    "create.before",
    "pending.stored",
    "set.begun",
    "set.before",
    "set.after",
    "test.before",
    "test.after",
    "finish.begun",
    "finish.before",
    "finish.after",
];
/// Real time in which a simulated step is long over.
const PATIENCE: Duration = Duration::from_secs(20);

const LOOK_AGAIN: Duration = Duration::from_millis(50);

type Words = BTreeMap<String, String>;

#[derive(Debug)]
struct Database {
    strategy: Strategy,
    passwords: Mutex<BTreeMap<String, String>>,
    /// The point at which the process ends.
    fatal: Mutex<Option<&'static str>>,
    ended: Mutex<Arc<Notify>>,
    /// How many processes there were. A function does nothing more once its own has ended.
    process: AtomicU64,
    visited: Mutex<BTreeSet<&'static str>>,
}

impl Database {
    fn new(strategy: Strategy) -> Arc<Self> {
        let passwords = BTreeMap::from([(String::from("app"), String::from("the-first-password"))]);
        Arc::new(Self {
            strategy,
            passwords: Mutex::new(passwords),
            fatal: Mutex::default(),
            ended: Mutex::default(),
            process: AtomicU64::new(0),
            visited: Mutex::default(),
        })
    }

    /// Told when this process ends.
    fn ended(&self) -> Arc<Notify> {
        Arc::clone(&self.ended.lock().unwrap())
    }

    fn logs_in(&self, words: &Words) -> bool {
        self.passwords.lock().unwrap().get(&words["username"]) == Some(&words["password"])
    }

    fn begin(self: &Arc<Self>, server: &TestServer) {
        let database = Arc::clone(self);
        server.world().functions.all_do(move |event, call| {
            let run = Run {
                process: database.process.load(Ordering::SeqCst),
                database: Arc::clone(&database),
                event,
                call,
            };
            async move { run.step().await }
        });
    }
}

/// One step of one process.
struct Run {
    process: u64,
    database: Arc<Database>,
    event: Value,
    call: FunctionCall,
}

impl Run {
    async fn step(self) -> Result<(), Value> {
        let said = self.take().await;
        self.at("").await;
        said.map_err(|why| function_error("ValueError", &why))
    }

    /// Goes on only if the process is still there.
    async fn at(&self, point: &'static str) {
        self.database.visited.lock().unwrap().insert(point);
        let is_fatal = {
            let mut fatal = self.database.fatal.lock().unwrap();
            let is_fatal = *fatal == Some(point);
            if is_fatal {
                *fatal = None;
            }
            is_fatal
        };
        if is_fatal {
            self.database.ended().notify_one();
        }
        if is_fatal || self.process != self.database.process.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
    }

    fn text(&self, name: &str) -> String {
        self.event[name].as_str().unwrap().to_owned()
    }

    fn caller(&self) -> Caller {
        let deployment = deployed(&self.call);
        let id = RequestId::random(self.call.inside.world().entropy.as_ref());
        Caller::service(deployment.account, deployment.region.clone(), "lambda.amazonaws.com", id)
    }

    async fn secret(&self, stage: &str, version: Option<&str>) -> Result<Words, String> {
        let input = sm::GetSecretValueRequest {
            secret_id: self.text("SecretId"),
            version_id: version.map(str::to_owned),
            version_stage: Some(stage.to_owned()),
        };
        let answer = self.call.inside.call::<sm::GetSecretValue>(&self.caller(), input).await;
        let answer = answer.map_err(|error| error.code().to_owned())?;
        Ok(serde_json::from_str(answer.secret_string.unwrap().expose()).unwrap())
    }

    async fn take(&self) -> Result<(), String> {
        let (arn, token) = (self.text("SecretId"), self.text("ClientRequestToken"));
        let describe = sm::DescribeSecretRequest { secret_id: arn.clone() };
        let described = self.call.inside.call::<sm::DescribeSecret>(&self.caller(), describe).await;
        let described = described.map_err(|error| error.code().to_owned())?;
        let versions = described.version_ids_to_stages.unwrap_or_default();
        let has =
            |label: &str| versions.get(&token).is_some_and(|labels| labels.iter().any(|has| has == label));
        if has("AWSCURRENT") {
            return Ok(());
        }
        if !has("AWSPENDING") {
            return Err(String::from("not staged for rotation"));
        }
        match self.text("Step").as_str() {
            "createSecret" => self.create(arn, token).await,
            "setSecret" => self.set(&token).await,
            "testSecret" => {
                self.at("test.before").await;
                let pending = self.secret("AWSPENDING", Some(&token)).await?;
                if !self.database.logs_in(&pending) {
                    return Err(String::from("unable to log in with the pending secret"));
                }
                self.at("test.after").await;
                Ok(())
            }
            "finishSecret" => {
                self.at("finish.begun").await;
                let current =
                    versions.iter().find(|(_, labels)| labels.iter().any(|has| has == "AWSCURRENT"));
                let moved = sm::UpdateSecretVersionStageRequest {
                    secret_id: arn,
                    version_stage: String::from("AWSCURRENT"),
                    move_to_version_id: Some(token),
                    remove_from_version_id: current.map(|(id, _)| id.clone()),
                };
                self.at("finish.before").await;
                let moved =
                    self.call.inside.call::<sm::UpdateSecretVersionStage>(&self.caller(), moved).await;
                moved.map_err(|error| error.code().to_owned())?;
                self.at("finish.after").await;
                Ok(())
            }
            other => panic!("{other}"),
        }
    }

    async fn create(&self, arn: String, token: String) -> Result<(), String> {
        self.at("create.before").await;
        let mut words = self.secret("AWSCURRENT", None).await?;
        match self.secret("AWSPENDING", Some(&token)).await {
            Ok(_) => return Ok(()),
            Err(code) if code == "ResourceNotFoundException" => {}
            Err(other) => return Err(other),
        }
        if self.database.strategy == Strategy::AlternatingUsers {
            let next = if words["username"] == "app" { "app_clone" } else { "app" };
            words.insert(String::from("username"), next.to_owned());
        }
        // Another one each time, as random ones are.
        let number = self.call.inside.world().entropy.as_ref();
        words.insert(String::from("password"), RequestId::random(number).to_string());
        let put = sm::PutSecretValueRequest {
            secret_id: arn,
            client_request_token: Some(token),
            secret_string: Some(Secret::new(json!(words).to_string())),
            version_stages: Some(vec![String::from("AWSPENDING")]),
            ..sm::PutSecretValueRequest::default()
        };
        let put = self.call.inside.call::<sm::PutSecretValue>(&self.caller(), put).await;
        put.map_err(|error| error.code().to_owned())?;
        self.at("pending.stored").await;
        Ok(())
    }

    async fn set(&self, token: &str) -> Result<(), String> {
        self.at("set.begun").await;
        let previous = self.secret("AWSPREVIOUS", None).await.ok();
        let current = self.secret("AWSCURRENT", None).await?;
        let pending = self.secret("AWSPENDING", Some(token)).await?;
        if self.database.logs_in(&pending) {
            return Ok(());
        }
        let may = match self.database.strategy {
            Strategy::SingleUser => [Some(&current), previous.as_ref()].into_iter().flatten().collect(),
            Strategy::AlternatingUsers => vec![&current],
        };
        if !may.into_iter().any(|words| self.database.logs_in(words)) {
            return Err(String::from("unable to log in with any secret"));
        }
        self.at("set.before").await;
        let (user, password) = (pending["username"].clone(), pending["password"].clone());
        self.database.passwords.lock().unwrap().insert(user, password);
        self.at("set.after").await;
        Ok(())
    }
}

/// A secret with a rotation, on a server of its own.
struct Scene {
    server: TestServer,
    database: Arc<Database>,
    rotations: usize,
}

impl Scene {
    async fn new(strategy: Strategy, seed: u64) -> Self {
        let server = TestServer::start(Engine::Memory, seed).await;
        let database = Database::new(strategy);
        database.begin(&server);
        let scene = Self { server, database, rotations: 0 };
        let words = json!({"username": "app", "password": "the-first-password", "host": "db.example.com"});
        let create = json!({"Name": "db", "ClientRequestToken": token(1), "SecretString": words.to_string()});
        scene.stage().get("CreateSecret", create).await;
        scene
    }

    fn stage(&self) -> Stage<'_> {
        Stage::new(&self.server, 0)
    }

    async fn rotate(&mut self) -> String {
        self.rotations += 1;
        let token = token(1 + self.rotations);
        self.stage().get("RotateSecret", self.stage().rotation("db", 1 + self.rotations)).await;
        token
    }

    /// Lets the rotation go on until the process ends or nothing is left to do. Whether it ended.
    async fn go_on(&self) -> bool {
        let (core, ended) = (self.server.node().core().unwrap(), self.database.ended());
        let all_done = async {
            loop {
                drop(core.run_due_tasks().await);
                // Whoever ends leaves a hint first, and is no longer under way a moment later.
                let is_idle = core.errands_under_way() == 0;
                let patience = if is_idle { Duration::ZERO } else { LOOK_AGAIN };
                let hint = tokio::time::timeout(patience, core.task_hint()).await;
                if is_idle && hint.is_err() {
                    return;
                }
            }
        };
        tokio::select! {
            biased;
            () = ended.notified() => true,
            // The end may have come while this was looked at, and is then what there is nothing more to do after.
            () = all_done => tokio::time::timeout(Duration::ZERO, ended.notified()).await.is_ok(),
            () = tokio::time::sleep(PATIENCE) => panic!("neither an end nor nothing to do"),
        }
    }

    async fn next_process(&self) {
        self.database.process.fetch_add(1, Ordering::SeqCst);
        *self.database.ended.lock().unwrap() = Arc::default();
        self.server.end_suddenly().await;
    }

    /// At this very moment, whatever the labels say.
    async fn some_version_logs_in(&self, when: &str) {
        let list = json!({"SecretId": "db", "IncludeDeprecated": true});
        let versions = self.stage().get("ListSecretVersionIds", list).await;
        for version in versions["Versions"].as_array().unwrap() {
            let get = json!({"SecretId": "db", "VersionId": version["VersionId"]});
            let answer = self.stage().ask("GetSecretValue", &get).await;
            // One that was begun and has no value yet.
            let Some(text) = answer.body["SecretString"].as_str() else { continue };
            if self.database.logs_in(&serde_json::from_str(text).unwrap()) {
                return;
            }
        }
        panic!("{:?}: no version logs in {when}: {versions}", self.database.strategy);
    }

    async fn current_logs_in(&self, token: &str, when: &str) {
        let answer = self.stage().get("GetSecretValue", json!({"SecretId": "db"})).await;
        let words: Words = serde_json::from_str(answer["SecretString"].as_str().unwrap()).unwrap();
        assert!(
            self.database.logs_in(&words),
            "{:?}: AWSCURRENT does not log in {when}",
            self.database.strategy
        );
        assert_eq!(
            answer["VersionId"], token,
            "{:?}: the rotation did not end {when}",
            self.database.strategy
        );
    }

    /// The next process ends what was begun, and the database and the secret are of one mind.
    async fn recovers(&self, token: &str, when: &str) {
        self.next_process().await;
        self.some_version_logs_in(when).await;
        assert!(!self.go_on().await, "{when}");
        self.current_logs_in(token, when).await;
        let described = self.stage().get("DescribeSecret", json!({"SecretId": "db"})).await;
        assert!(described["LastRotatedDate"].is_number(), "{when}: {described}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_ends_at_any_point_of_a_step_leaves_a_password_that_works() {
    for strategy in STRATEGIES {
        let mut scene = Scene::new(strategy, 1).await;
        for point in POINTS {
            *scene.database.fatal.lock().unwrap() = Some(point);
            let token = scene.rotate().await;
            assert!(scene.go_on().await, "{point} was never reached");
            scene.recovers(&token, point).await;
        }
        let visited = scene.database.visited.lock().unwrap().clone();
        assert!(POINTS.iter().all(|point| visited.contains(point)), "{visited:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_ends_at_any_commit_leaves_a_password_that_works() {
    for strategy in STRATEGIES {
        let mut scene = Scene::new(strategy, 2).await;
        let mut last = 0;
        for commit in 1..100 {
            let token = scene.rotate().await;
            scene.die_at_commit(commit);
            let when = format!("after an end at commit {commit}");
            if scene.go_on().await {
                scene.recovers(&token, &when).await;
            } else {
                scene.server.engine().relent();
                scene.current_logs_in(&token, &when).await;
                last = commit;
                break;
            }
        }
        // Each step is put on record before and after it, and two of them change the secret.
        assert!((11..100).contains(&last), "{strategy:?} {last}");
    }
}

impl Scene {
    /// Of the commits from now on, this one and all after it come to nothing.
    fn die_at_commit(&self, commit: u64) {
        let engine = self.server.engine();
        engine.fail(Call::Commit, commit, Fault::ForEver(EngineError::unavailable("the process has ended")));
        let (ended, seen) = (self.database.ended(), AtomicU64::new(0));
        engine.before_commit(Box::new(move |_| {
            if seen.fetch_add(1, Ordering::SeqCst) + 1 == commit {
                ended.notify_one();
            }
        }));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_that_end_again_and_again_leave_a_password_that_works() {
    let seed = seed(7);
    let chance = SimEntropy::seeded(seed);
    for strategy in STRATEGIES {
        let mut scene = Scene::new(strategy, seed).await;
        for round in 0..rounds(12, 600) {
            // Versions without labels go after a day, and more than a hundred there may not be.
            scene.server.world().clock.advance(Duration::from_secs(20 * 60));
            let token = scene.rotate().await;
            let mut ends = Vec::new();
            for _ in 0..chance.below(5) {
                if chance.below(2) == 0 {
                    let point = POINTS[chance.below(POINTS.len())];
                    ends.push(point.to_owned());
                    *scene.database.fatal.lock().unwrap() = Some(point);
                } else {
                    let commit = u64::try_from(chance.below(14)).unwrap() + 1;
                    ends.push(format!("commit {commit}"));
                    scene.die_at_commit(commit);
                }
                let ended = scene.go_on().await;
                *scene.database.fatal.lock().unwrap() = None;
                scene.next_process().await;
                scene.some_version_logs_in(&format!("in round {round} after {ends:?}")).await;
                if !ended {
                    break;
                }
            }
            scene.server.engine().relent();
            scene.recovers(&token, &format!("in round {round} after {ends:?}")).await;
        }
    }
}
