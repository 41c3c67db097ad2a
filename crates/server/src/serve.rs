//! Accepts connections and serves them, and can cut one without a byte of reply.
//!
//! HTTP/1.1 and HTTP/2 with prior knowledge share a port. A response that carries [`DropConnection`] is
//! never written: the TCP connection is closed instead. Under HTTP/2 this takes the connection's other
//! streams with it, as a crash would.

use std::io;

use axum::Router;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

/// Marks a response that must not be sent: the connection is closed in its place.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DropConnection;

impl IntoResponse for DropConnection {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::empty());
        response.extensions_mut().insert(self);
        response
    }
}

/// Accepts until `stop`; connections that are open then end with the process.
pub(crate) async fn serve(listener: TcpListener, router: Router, keep_alive: bool, stop: CancellationToken) {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().keep_alive(keep_alive);
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                tokio::spawn(attend(stream, builder.clone(), router.clone()));
            }
            Err(error) => {
                // Out of file descriptors, or a client that left at once: neither ends the server.
                eprintln!("shearwater-server: accept failed: {error}");
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        }
    }
}

async fn attend(stream: TcpStream, builder: auto::Builder<TokioExecutor>, router: Router) {
    // Only latency is lost if the system refuses.
    let _ = stream.set_nodelay(true);
    let cut = CancellationToken::new();
    let service = service_fn(|request: http::Request<Incoming>| {
        let router = router.clone();
        let cut = cut.clone();
        async move {
            let Ok(response) = router.oneshot(request.map(Body::new)).await;
            if response.extensions().get::<DropConnection>().is_some() {
                cut.cancel();
                return Err(io::Error::from(io::ErrorKind::ConnectionAborted));
            }
            Ok(response)
        }
    });
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        biased;
        // An error here is the client's going away, or the cut itself.
        _ = connection => {}
        () = cut.cancelled() => {}
    }
}
