//! The little of WASI that a guest sees.
//!
//! Standard libraries import much of WASI whether or not the program uses it. What a workflow may have is answered from
//! its history (time, random numbers) or is empty (environment, arguments, standard input, folders). A sleep is a durable
//! timer. Standard error is kept for the message of a trap. Everything else is there and traps when it is called.

use std::time::Duration;

use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, ComponentType, Linker, LinkerInstance, Lower, Resource, ResourceType};
use wasmtime::{Engine, Error, Result, StoreContextMut};

use crate::fault::Fault;
use crate::imports::Guest;
use crate::ledger::Ledger;
use crate::types::TaskId;

/// Is at its end.
struct InputStream;
struct OutputStream;
struct IoError;
/// A file or a folder; no guest has one.
struct Descriptor;
/// No guest has one of these either.
struct TerminalInput;
struct TerminalOutput;
/// Something to wait for: a timer, by its task, or [`READY`].
struct Pollable;

/// A pollable that is always ready. No run starts that many tasks.
const READY: u32 = u32::MAX;

/// Which stream a resource is.
const STDOUT: u32 = 1;
const STDERR: u32 = 2;
/// Bytes that a stream takes at a time.
const ROOM: u64 = 4096;

#[derive(ComponentType, Lower)]
#[component(record)]
struct Datetime {
    seconds: u64,
    nanoseconds: u32,
}

#[derive(ComponentType, Lower)]
#[component(variant)]
#[allow(dead_code, reason = "the type is WASI's; these streams end, and do not fail")]
enum StreamError {
    #[component(name = "last-operation-failed")]
    LastOperationFailed(Resource<IoError>),
    #[component(name = "closed")]
    Closed,
}

type Streamed<T> = Result<T, StreamError>;

/// Defines what `component` imports of WASI, each interface in the version that it asks for.
pub(crate) fn define(linker: &mut Linker<Guest>, engine: &Engine, component: &Component) -> Result<()> {
    // What workflows do have goes over what traps.
    linker.allow_shadowing(true);
    for (name, item) in component.component_type().imports(engine) {
        let (Some((interface, _version)), ComponentItem::ComponentInstance(offer)) = (name.split_once('@'), item.ty)
        else {
            continue;
        };
        // Other interfaces are there, or the component is no workflow.
        if !interface.starts_with("wasi:") {
            continue;
        }
        let mut instance = linker.instance(name)?;
        for (export, item) in offer.exports(engine) {
            match item.ty {
                ComponentItem::Resource(_) => resource(&mut instance, export)?,
                ComponentItem::ComponentFunc(_) => trap(&mut instance, interface, export)?,
                _ => {}
            }
        }
        match interface {
            "wasi:clocks/wall-clock" => wall_clock(linker.instance(name)?)?,
            "wasi:clocks/monotonic-clock" => monotonic_clock(linker.instance(name)?)?,
            "wasi:random/random" => random(linker.instance(name)?, ["get-random-bytes", "get-random-u64"])?,
            "wasi:random/insecure" => random(
                linker.instance(name)?,
                ["get-insecure-random-bytes", "get-insecure-random-u64"],
            )?,
            // Seeds hash maps: their order must not change, so it is not random at all.
            "wasi:random/insecure-seed" => linker
                .instance(name)?
                .func_wrap("insecure-seed", |_, ()| Ok(((0_u64, 0_u64),)))?,
            "wasi:cli/environment" => environment(linker.instance(name)?)?,
            "wasi:cli/exit" => exit(linker.instance(name)?)?,
            "wasi:cli/stdin" => linker
                .instance(name)?
                .func_wrap("get-stdin", |_, ()| Ok((Resource::<InputStream>::new_own(0),)))?,
            "wasi:cli/stdout" => stream(linker.instance(name)?, "get-stdout", STDOUT)?,
            "wasi:cli/stderr" => stream(linker.instance(name)?, "get-stderr", STDERR)?,
            "wasi:cli/terminal-stdin" => no_terminal::<TerminalInput>(linker.instance(name)?, "get-terminal-stdin")?,
            "wasi:cli/terminal-stdout" => no_terminal::<TerminalOutput>(linker.instance(name)?, "get-terminal-stdout")?,
            "wasi:cli/terminal-stderr" => no_terminal::<TerminalOutput>(linker.instance(name)?, "get-terminal-stderr")?,
            "wasi:filesystem/preopens" => linker.instance(name)?.func_wrap("get-directories", |_, ()| {
                Ok((Vec::<(Resource<Descriptor>, String)>::new(),))
            })?,
            "wasi:io/poll" => poll(linker.instance(name)?)?,
            "wasi:io/streams" => streams(linker.instance(name)?)?,
            _ => {}
        }
    }
    Ok(())
}

/// An interface that uses a resource of another one exports it once more, as the same type: types go by their names.
fn resource(instance: &mut LinkerInstance<'_, Guest>, name: &str) -> Result<()> {
    let kind = match name {
        "pollable" => {
            return instance.resource(name, ResourceType::host::<Pollable>(), |mut guest, rep| {
                guest.data_mut().ledger().release(TaskId(rep));
                Ok(())
            });
        }
        "error" => ResourceType::host::<IoError>(),
        "input-stream" => ResourceType::host::<InputStream>(),
        "output-stream" => ResourceType::host::<OutputStream>(),
        "descriptor" => ResourceType::host::<Descriptor>(),
        "terminal-input" => ResourceType::host::<TerminalInput>(),
        "terminal-output" => ResourceType::host::<TerminalOutput>(),
        _ => ResourceType::host::<()>(),
    };
    instance.resource(name, kind, |_, _| Ok(()))
}

fn trap(instance: &mut LinkerInstance<'_, Guest>, interface: &str, function: &str) -> Result<()> {
    let reason = format!("workflows have no `{function}` of {interface}");
    instance.func_new(function, move |_, _, _, _| Err(Error::msg(reason.clone())))
}

fn wall_clock(mut clock: LinkerInstance<'_, Guest>) -> Result<()> {
    clock.func_wrap("now", |guest: StoreContextMut<'_, Guest>, ()| {
        let now = guest.data().ledger().moment.now;
        let nanoseconds = (now % 1000) as u32 * 1_000_000;
        let seconds = now / 1000;
        Ok((Datetime { seconds, nanoseconds },))
    })?;
    clock.func_wrap("resolution", |_, ()| {
        let (seconds, nanoseconds) = (0, 1_000_000);
        Ok((Datetime { seconds, nanoseconds },))
    })
}

fn monotonic_clock(mut clock: LinkerInstance<'_, Guest>) -> Result<()> {
    clock.func_wrap("now", |guest: StoreContextMut<'_, Guest>, ()| {
        Ok((guest.data().ledger().moment.now.saturating_mul(1_000_000),))
    })?;
    clock.func_wrap("resolution", |_, ()| Ok((1_000_000_u64,)))?;
    clock.func_wrap(
        "subscribe-duration",
        |guest: StoreContextMut<'_, Guest>, (nanoseconds,): (u64,)| timer(guest, Duration::from_nanos(nanoseconds)),
    )?;
    clock.func_wrap(
        "subscribe-instant",
        |guest: StoreContextMut<'_, Guest>, (instant,): (u64,)| {
            let now = guest.data().ledger().moment.now.saturating_mul(1_000_000);
            timer(guest, Duration::from_nanos(instant.saturating_sub(now)))
        },
    )
}

fn timer(guest: StoreContextMut<'_, Guest>, duration: Duration) -> Result<(Resource<Pollable>,)> {
    // Times of the history are in milliseconds; a timer must not end before its time.
    let duration = Duration::from_millis(duration.as_nanos().div_ceil(1_000_000) as u64);
    let task = if duration.is_zero() {
        READY
    } else {
        guest.data().ledger().timer(duration)?.0
    };
    Ok((Resource::new_own(task),))
}

fn poll(mut instance: LinkerInstance<'_, Guest>) -> Result<()> {
    type Context<'a> = StoreContextMut<'a, Guest>;
    type Held = Resource<Pollable>;
    let ready = |ledger: &Ledger, held: &Held| held.rep() == READY || ledger.ended(TaskId(held.rep())).is_some();
    instance.func_wrap("[method]pollable.ready", move |guest: Context<'_>, (held,): (Held,)| {
        Ok((ready(&guest.data().ledger(), &held),))
    })?;
    instance.func_wrap_async("[method]pollable.block", move |guest: Context<'_>, (held,): (Held,)| {
        Box::new(async move {
            guest.data().until(|ledger| ready(ledger, &held).then_some(())).await;
            Ok(())
        })
    })?;
    instance.func_wrap_async("poll", move |guest: Context<'_>, (all,): (Vec<Held>,)| {
        Box::new(async move {
            if all.is_empty() {
                let reason = "it waits for any of nothing, which would take for ever".to_owned();
                return Err(Fault::Misuse(reason).into());
            }
            let first = |ledger: &Ledger| {
                let places = (0_u32..).zip(&all).filter(|(_, held)| ready(ledger, held));
                let places: Vec<u32> = places.map(|(place, _)| place).collect();
                (!places.is_empty()).then_some(places)
            };
            Ok((guest.data().until(first).await,))
        })
    })
}

fn random(mut instance: LinkerInstance<'_, Guest>, [bytes, number]: [&str; 2]) -> Result<()> {
    instance.func_wrap(bytes, |guest: StoreContextMut<'_, Guest>, (length,): (u64,)| {
        let mut ledger = guest.data().ledger();
        let length = usize::try_from(length).unwrap_or(usize::MAX).min(ledger.limits.text);
        let mut bytes = Vec::with_capacity(length);
        while bytes.len() < length {
            bytes.extend_from_slice(&ledger.random().to_le_bytes());
        }
        bytes.truncate(length);
        Ok((bytes,))
    })?;
    instance.func_wrap(number, |guest: StoreContextMut<'_, Guest>, ()| {
        Ok((guest.data().ledger().random(),))
    })
}

fn environment(mut instance: LinkerInstance<'_, Guest>) -> Result<()> {
    instance.func_wrap("get-environment", |_, ()| Ok((Vec::<(String, String)>::new(),)))?;
    instance.func_wrap("get-arguments", |_, ()| Ok((Vec::<String>::new(),)))?;
    instance.func_wrap("initial-cwd", |_, ()| Ok((None::<String>,)))
}

/// A workflow ends by returning.
fn exit(mut instance: LinkerInstance<'_, Guest>) -> Result<()> {
    instance.func_wrap("exit", |_, (status,): (Result<(), ()>,)| -> Result<()> {
        let how = if status.is_ok() {
            "as if all were well"
        } else {
            "as failed"
        };
        Err(Error::msg(format!("it ended its process, {how}, and did not return")))
    })
}

fn no_terminal<T: 'static>(mut instance: LinkerInstance<'_, Guest>, get: &str) -> Result<()> {
    instance.func_wrap(get, |_, ()| Ok((None::<Resource<T>>,)))
}

fn stream(mut instance: LinkerInstance<'_, Guest>, get: &str, stream: u32) -> Result<()> {
    instance.func_wrap(get, move |_, ()| Ok((Resource::<OutputStream>::new_own(stream),)))
}

fn streams(mut instance: LinkerInstance<'_, Guest>) -> Result<()> {
    type In = Resource<InputStream>;
    type Out = Resource<OutputStream>;
    type Context<'a> = StoreContextMut<'a, Guest>;
    let write = |guest: Context<'_>, (out, bytes): (Out, Vec<u8>)| -> Result<(Streamed<()>,)> {
        if out.rep() == STDERR {
            guest.data().ledger().say(&bytes);
        }
        Ok((Ok(()),))
    };
    instance.func_wrap("[method]output-stream.check-write", |_, (_,): (Out,)| {
        Ok((Streamed::Ok(ROOM),))
    })?;
    instance.func_wrap("[method]output-stream.subscribe", |_, (_,): (Out,)| {
        Ok((Resource::<Pollable>::new_own(READY),))
    })?;
    instance.func_wrap("[method]output-stream.write", write)?;
    instance.func_wrap("[method]output-stream.blocking-write-and-flush", write)?;
    for flush in ["[method]output-stream.flush", "[method]output-stream.blocking-flush"] {
        instance.func_wrap(flush, |_, (_,): (Out,)| Ok((Streamed::Ok(()),)))?;
    }
    for read in ["[method]input-stream.read", "[method]input-stream.blocking-read"] {
        instance.func_wrap(read, |_, (_, _): (In, u64)| {
            Ok((Streamed::<Vec<u8>>::Err(StreamError::Closed),))
        })?;
    }
    for skip in ["[method]input-stream.skip", "[method]input-stream.blocking-skip"] {
        instance.func_wrap(skip, |_, (_, _): (In, u64)| {
            Ok((Streamed::<u64>::Err(StreamError::Closed),))
        })?;
    }
    instance.func_wrap("[method]input-stream.subscribe", |_, (_,): (In,)| {
        Ok((Resource::<Pollable>::new_own(READY),))
    })
}
