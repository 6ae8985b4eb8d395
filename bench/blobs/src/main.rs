//! One large blob from a disk to a disk, over plain TCP, the mesh and iroh-blobs in turns: `cargo run --release [MB] [ROUNDS] [mesh]`.
//!
//! Each of them checks with BLAKE3 what comes. Both ends are in this process, each on a runtime of its own.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, anyhow};
use futures_util::future::{BoxFuture, FutureExt};
use helve_blobs::BlobStore;
use helve_mesh::blobs::{Remote, Service};
use helve_mesh::{Answer, Asked, Door, Endpoint, EndpointId, Gate, Link, Listen, SecretKey};
use iroh::endpoint::presets;
use iroh::protocol::Router;
use iroh_blobs::BlobsProtocol;
use iroh_blobs::store::fs::FsStore;
use tokio::runtime::{Builder, Runtime};

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mut number = |default| arguments.next().map_or(Ok(default), |argument| argument.parse::<usize>());
    let bytes = number(500)? * 1_000_000;
    let rounds = number(3)?;
    // For a profiler: nothing but the mesh.
    let only_mesh = arguments.next().is_some_and(|argument| argument == "mesh");
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("blob");
    let mut content = vec![0; bytes];
    blake3::Hasher::new().update(b"a blob").finalize_xof().fill(&mut content);
    fs::write(&file, &content)?;
    drop(content);
    println!("{:>8} {:>8} {:>11} {:>22}   MB/s", "tcp", "mesh", "iroh-blobs", "iroh-blobs, exported");
    for round in 0..rounds {
        let here = folder.path().join(round.to_string());
        fs::create_dir(&here)?;
        let speed = |seconds: f64| bytes as f64 / 1e6 / seconds;
        let mesh = speed(mesh(&file, &here)?);
        if only_mesh {
            println!("{mesh:.0}");
            fs::remove_dir_all(&here)?;
            continue;
        }
        let tcp = speed(tcp(&file, &here)?);
        let (fetched, exported) = iroh(&file, &here)?;
        println!("{tcp:>8.0} {mesh:>8.0} {:>11.0} {:>22.0}", speed(fetched), speed(exported));
        fs::remove_dir_all(&here)?;
    }
    Ok(())
}

fn runtime() -> Result<Runtime> {
    Ok(Builder::new_multi_thread().worker_threads(2).enable_all().build()?)
}

fn tcp(from: &Path, folder: &Path) -> Result<f64> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let mut source = File::open(from)?;
    let sender = std::thread::spawn(move || -> std::io::Result<u64> {
        let (mut stream, _) = listener.accept()?;
        let mut buffer = vec![0; 1 << 20];
        let mut sent = 0;
        loop {
            match source.read(&mut buffer)? {
                0 => return Ok(sent),
                read => stream.write_all(&buffer[..read])?,
            }
            sent += 1;
        }
    });
    let began = Instant::now();
    let mut stream = TcpStream::connect(address)?;
    let (mut file, mut hasher) = (File::create(folder.join("tcp"))?, blake3::Hasher::new());
    let mut buffer = vec![0; 1 << 20];
    loop {
        match stream.read(&mut buffer)? {
            0 => break,
            read => {
                hasher.update(&buffer[..read]);
                file.write_all(&buffer[..read])?;
            }
        }
    }
    hasher.finalize();
    let seconds = began.elapsed().as_secs_f64();
    sender.join().map_err(|_| anyhow!("the sender panicked"))??;
    Ok(seconds)
}

/// Lets everybody in.
struct Open;

impl Door for Open {
    fn admits(&self, _peer: EndpointId) -> Result<(), String> {
        Ok(())
    }

    fn join(&self, _peer: EndpointId, _asked: Asked) -> BoxFuture<'_, Answer> {
        async { Answer::Refused("nobody joins".to_owned()) }.boxed()
    }
}

fn loopback() -> Listen {
    Listen {
        addresses: vec![([127, 0, 0, 1], 0).into()],
        ..Listen::default()
    }
}

fn mesh(from: &Path, folder: &Path) -> Result<f64> {
    let (here, there) = (runtime()?, runtime()?);
    let store = BlobStore::open(folder.join("mesh"))?;
    let blob = store.put_file(from)?;
    let (address, gate) = there.block_on(async {
        let endpoint = Endpoint::bind(SecretKey::generate(), &loopback()).await?;
        let (gate, incoming) = Gate::open(&endpoint, Arc::new(Open));
        tokio::spawn(Service::new(store, folder.join("coming"))?.serve(incoming.blobs));
        anyhow::Ok((endpoint.address(), (gate, endpoint)))
    })?;
    let link = here.block_on(async {
        let endpoint = Endpoint::bind(SecretKey::generate(), &loopback()).await?;
        anyhow::Ok(Link::new(endpoint, vec![address]))
    })?;
    let _inside = here.enter();
    let mut seconds = 0.0;
    // The first time the server reads the blob once to know its pieces; iroh-blobs did so when it was added.
    for cache in ["first", "second"] {
        let cache = BlobStore::over(Remote::new(link.clone()), &folder.join(cache), 4 << 30)?;
        let began = Instant::now();
        drop(cache.reader(&blob.id)?);
        seconds = began.elapsed().as_secs_f64();
    }
    drop(gate);
    Ok(seconds)
}

async fn endpoint() -> Result<iroh::Endpoint> {
    let builder = iroh::Endpoint::builder(presets::Minimal)
        .secret_key(SecretKey::generate())
        .clear_ip_transports()
        .bind_addr("127.0.0.1:0")?;
    Ok(builder.bind().await?)
}

/// Until the store has it, and until it is a file that others can read.
fn iroh(from: &Path, folder: &Path) -> Result<(f64, f64)> {
    let (here, there) = (runtime()?, runtime()?);
    let (address, hash, router) = there.block_on(async {
        let store = FsStore::load(folder.join("iroh-there")).await?;
        let tag = store.blobs().add_path(from).await?;
        let blobs = BlobsProtocol::new(&store, None);
        let router = Router::builder(endpoint().await?).accept(iroh_blobs::ALPN, blobs).spawn();
        anyhow::Ok((router.endpoint().addr(), tag.hash, (router, store)))
    })?;
    here.block_on(async {
        let store = FsStore::load(folder.join("iroh-here")).await?;
        let endpoint = endpoint().await?;
        let began = Instant::now();
        let connection = endpoint.connect(address, iroh_blobs::ALPN).await?;
        store.remote().fetch(connection, hash).await.context("fetch")?;
        let fetched = began.elapsed().as_secs_f64();
        store.blobs().export(hash, folder.join("exported")).await?;
        let exported = began.elapsed().as_secs_f64();
        store.shutdown().await?;
        drop(router);
        anyhow::Ok((fetched, exported))
    })
}
