//! How many empty calls per second gRPC carries on loopback, with the libraries that engine and driver use.

use std::convert::Infallible;
use std::future::Ready;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tonic::body::Body;
use tonic::codegen::{BoxFuture, Service, http};
use tonic::server::UnaryService;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;

use crate::raw::{Nothing, Rpc, Server};

const AT_ONCE: usize = 64;

pub(super) fn calls_per_second(time: Duration) -> Result<f64> {
    let (address, listening) = std::sync::mpsc::channel();
    // On a thread of its own, as a server is. It ends with the process.
    std::thread::spawn(move || -> Result<()> {
        runtime()?.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            address.send(listener.local_addr()?)?;
            let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
            tonic::transport::Server::builder()
                .serve_with_incoming(Echo, incoming)
                .await?;
            Ok(())
        })
    });
    let address = listening.recv().map_err(|_| anyhow!("the echo server did not start"))?;
    runtime()?.block_on(async {
        let server = Server::connect(&address.to_string(), false).await?;
        let began = Instant::now();
        let mut callers = JoinSet::new();
        for _ in 0..AT_ONCE {
            let mut caller = server.caller();
            callers.spawn(async move {
                let mut count = 0_usize;
                while began.elapsed() < time {
                    let _: Nothing = caller.call(Rpc::GET_SYSTEM_INFO, Nothing {}).await?;
                    count += 1;
                }
                Ok::<_, Status>(count)
            });
        }
        let mut count = 0;
        while let Some(done) = callers.join_next().await {
            count += done??;
        }
        Ok(count as f64 / began.elapsed().as_secs_f64())
    })
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

/// A service that answers everything with nothing.
#[derive(Clone)]
struct Echo;

impl Service<http::Request<Body>> for Echo {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(async move {
            let mut grpc = tonic::server::Grpc::new(ProstCodec::<Nothing, Nothing>::default());
            Ok(grpc.unary(Echo, request).await)
        })
    }
}

impl UnaryService<Nothing> for Echo {
    type Response = Nothing;
    type Future = Ready<Result<Response<Nothing>, Status>>;

    fn call(&mut self, request: Request<Nothing>) -> Self::Future {
        std::future::ready(Ok(Response::new(request.into_inner())))
    }
}
