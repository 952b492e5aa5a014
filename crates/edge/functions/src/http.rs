//! The servers that a function finds in its network: bounded, and without a way for one to end another.

use std::{convert::Infallible, time::Duration};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, Response, body::Incoming, server::conn::http1::Builder, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// Serves until it is dropped. Whoever opens more connections than there may be gets no answer.
pub(crate) async fn serve<F, A>(listener: TcpListener, http: Builder, connections_max: usize, answer: F)
where
    F: Fn(Request<Incoming>) -> A + Clone + Send + 'static,
    A: Future<Output = Response<Full<Bytes>>> + Send + 'static,
{
    let mut open = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            Some(_) = open.join_next(), if !open.is_empty() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) if open.len() < connections_max => {
                    let (http, answer) = (http.clone(), answer.clone());
                    open.spawn(async move {
                        // Head and body of an answer are one write, and waiting for more to send costs 40 ms.
                        if stream.set_nodelay(true).is_err() {
                            return;
                        }
                        let service = service_fn(move |request| {
                            let answer = answer(request);
                            async move { Ok::<_, Infallible>(answer.await) }
                        });
                        // A runtime that breaks off is noticed by the end of its process.
                        drop(http.serve_connection(TokioIo::new(stream), service).await);
                    });
                }
                Ok(_) => {}
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }
}
