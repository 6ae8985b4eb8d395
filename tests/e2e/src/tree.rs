//! Source trees that tests make.

use std::fs;
use std::path::Path;

/// Writes a file with its folders.
pub fn write(path: &Path, text: impl AsRef<[u8]>) {
    fs::create_dir_all(path.parent().expect("a file has a folder")).expect("the folder can be made");
    fs::write(path, text).expect("the file can be written");
}

/// A key that looks real and opens nothing, put together here so that no scanner finds it in this file.
pub fn fake_key(number: usize) -> String {
    let mut key = String::from("AKIA");
    let mut state = number.wrapping_mul(2_654_435_761).wrapping_add(12_345);
    for _ in 0..16 {
        state = state.wrapping_mul(1_103_515_245).wrapping_add(12_345) & 0x7fff_ffff;
        key.push(char::from(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"[(state >> 12) % 32]));
    }
    key
}

/// A tree with this many source files, about `bytes` each; every tenth has a flaw and a key. The same every time.
pub fn grow(root: &Path, files: usize, bytes: usize) {
    for number in 0..files {
        let folder = root.join(format!("package_{:03}", number / 50));
        let mut text = format!("\"\"\"Module {number}.\"\"\"\nimport os\n\n");
        if number % 10 == 0 {
            text.push_str(&format!(
                "AWS_ACCESS_KEY_ID = \"{}\"\n\n\ndef run_{number}(request):\n    return eval(request.args[\"q\"])\n\n",
                fake_key(number)
            ));
        }
        let mut line = 0;
        while text.len() < bytes {
            text.push_str(&format!(
                "def step_{number}_{line}(value):\n    return value + {line}\n\n"
            ));
            line += 1;
        }
        write(&folder.join(format!("module_{number:05}.py")), text);
    }
}
