//! The one function that a module imports, and its memory.

use wasmtime::{Caller, Error, Extern, Linker, Memory, Result};

use super::abi::{Input, Output};
use super::calls;
use super::guest::State;
use crate::fault::Fault;

/// The function succeeded. The codes for failures are not used: a module makes a panic of each, without the reason.
const DONE: i32 = 0;

pub(super) fn define(linker: &mut Linker<State>) -> Result<()> {
    linker.func_wrap_async(
        "wasabi",
        "submit",
        |mut caller: Caller<'_, State>, (input, length, out, out_length): (u32, u32, u32, u32)| {
            Box::new(async move {
                let input = read(&mut caller, input, length)?;
                let output = calls::answer(caller.data_mut(), input).await?;
                write(&mut caller, &output, out, out_length).await?;
                Ok(DONE)
            })
        },
    )?;
    Ok(())
}

fn read(caller: &mut Caller<'_, State>, at: u32, length: u32) -> Result<Input> {
    let limit = caller.data().base.ledger().limits.text;
    if length as usize > limit {
        let (length, limit) = (length >> 10, limit >> 10);
        return Err(misuse(format!(
            "what it asks for is {length} KiB long, and may be {limit}"
        )));
    }
    let memory = memory(caller)?;
    let end = at as usize + length as usize;
    let text = memory.data(&*caller).get(at as usize..end);
    let text = text.ok_or_else(|| misuse("it points outside of its memory".to_owned()))?;
    serde_json::from_slice(text).map_err(|error| {
        misuse(format!(
            "it asks for something that is not known here ({error}); was it built with another version of `flawless`?"
        ))
    })
}

/// The answer goes where the module's allocator says; the module frees it.
async fn write(caller: &mut Caller<'_, State>, output: &Output, at: u32, length_at: u32) -> Result<()> {
    let text = serde_json::to_vec(output)?;
    let length = u32::try_from(text.len())?;
    let Some(Extern::Func(alloc)) = caller.get_export("wasabi::alloc") else {
        return Err(misuse("it has no allocator for answers".to_owned()));
    };
    let alloc = alloc.typed::<u32, u32>(&*caller)?;
    let place = alloc.call_async(&mut *caller, length).await?;
    let memory = memory(caller)?;
    memory.write(&mut *caller, place as usize, &text)?;
    memory.write(&mut *caller, at as usize, &place.to_le_bytes())?;
    memory.write(&mut *caller, length_at as usize, &length.to_le_bytes())?;
    Ok(())
}

fn memory(caller: &mut Caller<'_, State>) -> Result<Memory> {
    match caller.get_export("memory") {
        Some(Extern::Memory(memory)) => Ok(memory),
        _ => Err(misuse("it has no memory to read from".to_owned())),
    }
}

fn misuse(message: String) -> Error {
    Fault::Misuse(message).into()
}
