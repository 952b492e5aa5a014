//! The end of everything at once: whatever runs is told to stop, and whoever tells it waits until nothing does.
//!
//! When the store is sealed, what it has set off must not go on: as soon as the store is open again the same piece of work begins anew,
//! and would then be done twice at the same time.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{OwnedRwLockReadGuard, RwLock, watch},
    time::timeout,
};

/// Processes that do not end when they are killed wait for a disk, and so would we.
const WAIT_MAX: Duration = Duration::from_secs(10);

/// Can be used again afterwards.
#[derive(Debug, Default)]
pub struct Halt {
    called: watch::Sender<()>,
    /// Held by everything that runs, each as one of many.
    running: Arc<RwLock<()>>,
}

/// As long as it is held, something runs.
#[derive(Debug)]
pub struct Running {
    _one_of_many: OwnedRwLockReadGuard<()>,
}

/// Of whoever runs something.
#[derive(Debug)]
pub struct Ear(watch::Receiver<()>);

impl Ear {
    /// Its outcome, or nothing if there was a halt before it had one.
    pub async fn until<T>(&mut self, run: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            _ = self.0.changed() => None,
            outcome = run => Some(outcome),
        }
    }
}

impl Halt {
    /// Waits for a halt that is under way.
    pub async fn begin(&self) -> Running {
        Running { _one_of_many: Arc::clone(&self.running).read_owned().await }
    }

    /// Hears of every halt from now on.
    pub fn ear(&self) -> Ear {
        Ear(self.called.subscribe())
    }

    /// Stops what runs, and waits for the end of it. Answers whether all has ended.
    pub async fn all(&self) -> bool {
        self.called.send_replace(());
        timeout(WAIT_MAX, self.running.write()).await.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    #[tokio::test]
    async fn what_runs_is_stopped_and_waited_for() {
        let halt = Arc::new(Halt::default());
        let (began, begun) = tokio::sync::oneshot::channel();
        let run = {
            let halt = Arc::clone(&halt);
            tokio::spawn(async move {
                halt.ear()
                    .until(async {
                        let running = halt.begin().await;
                        let ending = OnDrop(Some(running));
                        began.send(()).unwrap();
                        pending::<()>().await;
                        drop(ending);
                    })
                    .await
            })
        };
        begun.await.unwrap();
        let before = tokio::time::Instant::now();
        assert!(halt.all().await);
        // It took its time to end.
        assert!(before.elapsed() >= ENDING);
        assert_eq!(run.await.unwrap(), None);
        // What begins afterwards is not stopped.
        assert_eq!(halt.ear().until(async { 7 }).await, Some(7));
        drop(halt.begin().await);
        assert!(halt.all().await);
    }

    const ENDING: Duration = Duration::from_millis(200);

    /// Ends a while after it is dropped, as a process does.
    struct OnDrop(Option<Running>);

    impl Drop for OnDrop {
        fn drop(&mut self) {
            let running = self.0.take();
            tokio::spawn(async move {
                tokio::time::sleep(ENDING).await;
                drop(running);
            });
        }
    }
}
