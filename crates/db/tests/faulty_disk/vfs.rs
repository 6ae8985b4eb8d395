//! A file system between SQLite and the real one: it fails when it is told to, and knows what a power cut would leave.
//!
//! It becomes the process' default VFS. Files in directories that have no [`FaultyDisk`] go straight through.

#![allow(unsafe_code)] // SQLite's VFS is a table of C functions

use std::{
    collections::BTreeMap,
    ffi::{CStr, c_char, c_int, c_void},
    fs,
    path::{Path, PathBuf},
    ptr,
    sync::{Arc, Mutex, Once},
};

use helve_db::rusqlite::ffi::{self, sqlite3_file, sqlite3_int64, sqlite3_io_methods, sqlite3_vfs};

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// One operation fails: the write, the sync or the truncation, whichever is next.
    Io,
    /// There is no space until [`FaultyDisk::repair`].
    Full,
    /// The power fails: nothing works any more, and what was not synced may be there or not.
    PowerCut,
}

/// The disk under one directory.
#[derive(Clone)]
pub(crate) struct FaultyDisk {
    dir: PathBuf,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// Operations that change files, so far.
    operations: u64,
    plan: Option<(u64, Fault)>,
    broken: Option<Fault>,
    files: BTreeMap<PathBuf, Content>,
}

/// A file as it is on the medium, and what was written since it was last synced.
#[derive(Default)]
struct Content {
    durable: Vec<u8>,
    pending: Vec<Change>,
}

#[derive(Clone)]
enum Change {
    Write { at: usize, bytes: Vec<u8> },
    Truncate(usize),
}

impl Change {
    fn apply(&self, file: &mut Vec<u8>) {
        match self {
            Change::Write { at, bytes } => {
                let end = at + bytes.len();
                file.resize(file.len().max(end), 0);
                file[*at..end].copy_from_slice(bytes);
            }
            Change::Truncate(length) => file.resize(*length, 0),
        }
    }
}

/// Never forgotten: a test has few of them, and its process is short.
static DISKS: Mutex<Vec<FaultyDisk>> = Mutex::new(Vec::new());

impl FaultyDisk {
    pub(crate) fn under(dir: &Path) -> FaultyDisk {
        install();
        let disk = FaultyDisk {
            dir: dir.to_owned(),
            state: Arc::default(),
        };
        DISKS.lock().unwrap().push(disk.clone());
        disk
    }

    /// Has something go wrong after so many further operations.
    pub(crate) fn fail_after(&self, operations: u64, fault: Fault) {
        let mut state = self.state.lock().unwrap();
        state.plan = Some((state.operations + operations, fault));
    }

    /// Everything works again.
    pub(crate) fn repair(&self) {
        let mut state = self.state.lock().unwrap();
        (state.plan, state.broken) = (None, None);
    }

    /// Whether the planned fault has happened.
    pub(crate) fn has_failed(&self) -> bool {
        self.state.lock().unwrap().plan.is_none()
    }

    /// Operations so far that changed a file.
    pub(crate) fn operations(&self) -> u64 {
        self.state.lock().unwrap().operations
    }

    /// Writes what a power cut leaves into another directory: all that was synced, and of each later write nothing, all of
    /// it or its beginning, as `chance` says (with a number below the one it is given).
    pub(crate) fn after_power_cut(&self, to: &Path, mut chance: impl FnMut(usize) -> usize) {
        let state = self.state.lock().unwrap();
        for (path, content) in &state.files {
            let mut file = content.durable.clone();
            for change in &content.pending {
                match (change, chance(4)) {
                    (_, 0) => {}
                    (Change::Write { at, bytes }, 1) => {
                        let bytes = bytes[..chance(bytes.len())].to_vec();
                        Change::Write { at: *at, bytes }.apply(&mut file);
                    }
                    _ => change.apply(&mut file),
                }
            }
            fs::write(to.join(path.file_name().unwrap()), file).unwrap();
        }
    }

    /// Notes that an operation is about to happen; the error code if it must not.
    fn begin(&self, path: &Path, change: Option<Change>) -> Result<(), c_int> {
        let mut state = self.state.lock().unwrap();
        let fault = match state.plan {
            Some((at, fault)) if state.operations >= at => {
                state.plan = None;
                state.broken = (fault != Fault::Io).then_some(fault);
                Some(fault)
            }
            _ => state.broken,
        };
        state.operations += 1;
        let grows = matches!(change, Some(Change::Write { .. }));
        let content = state.files.entry(path.to_owned()).or_default();
        match (fault, change) {
            (Some(Fault::PowerCut), _) => return Err(ffi::SQLITE_IOERR),
            (Some(Fault::Full), _) if grows => return Err(ffi::SQLITE_FULL),
            (Some(Fault::Io), Some(Change::Write { .. })) => return Err(ffi::SQLITE_IOERR_WRITE),
            (Some(Fault::Io), Some(Change::Truncate(_))) => return Err(ffi::SQLITE_IOERR_TRUNCATE),
            (Some(Fault::Io), None) => return Err(ffi::SQLITE_IOERR_FSYNC),
            (_, Some(change)) => content.pending.push(change),
            (_, None) => {
                let mut durable = std::mem::take(&mut content.durable);
                content.pending.drain(..).for_each(|change| change.apply(&mut durable));
                content.durable = durable;
            }
        }
        Ok(())
    }
}

// The functions that SQLite calls. Each file of ours is followed in memory by the real one.

#[repr(C)]
struct File {
    base: sqlite3_file,
    /// Null for files that go straight through.
    disk: *mut (FaultyDisk, PathBuf),
}

fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: the tables live for ever, and SQLite is not used by anybody before.
        unsafe {
            let real = ffi::sqlite3_vfs_find(ptr::null());
            let mut vfs: sqlite3_vfs = *real;
            vfs.szOsFile = size_of::<File>() as c_int + (*real).szOsFile;
            vfs.pNext = ptr::null_mut();
            vfs.zName = c"faulty".as_ptr();
            vfs.pAppData = real.cast();
            vfs.xOpen = Some(open);
            vfs.xDelete = Some(delete);
            ffi::sqlite3_vfs_register(Box::leak(Box::new(vfs)), 1);
        }
    });
}

const METHODS: sqlite3_io_methods = sqlite3_io_methods {
    // Without memory-mapped reading, which would go past this.
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: None,
    xUnfetch: None,
};

/// The real file behind one of ours.
unsafe fn real(file: *mut sqlite3_file) -> *mut sqlite3_file {
    // SAFETY: SQLite allocated szOsFile bytes: ours, then the real one's.
    unsafe { file.cast::<File>().add(1).cast() }
}

/// Calls a method of the real file.
macro_rules! real {
    ($file:ident . $method:ident ( $($argument:expr),* )) => {
        // SAFETY: the real file was opened by the real VFS, so its methods are there.
        unsafe {
            let real = real($file);
            ((*(*real).pMethods).$method.unwrap())(real, $($argument),*)
        }
    };
}

unsafe extern "C" fn open(
    vfs: *mut sqlite3_vfs,
    name: *const c_char,
    file: *mut sqlite3_file,
    flags: c_int,
    out: *mut c_int,
) -> c_int {
    // SAFETY: as SQLite's contract for xOpen says.
    unsafe {
        let below: *mut sqlite3_vfs = (*vfs).pAppData.cast();
        let code = (*below).xOpen.unwrap()(below, name, real(file), flags, out);
        let ours = file.cast::<File>();
        (*ours).base.pMethods = if code == ffi::SQLITE_OK { &METHODS } else { ptr::null() };
        (*ours).disk = ptr::null_mut();
        if code == ffi::SQLITE_OK && !name.is_null() {
            let path = PathBuf::from(CStr::from_ptr(name).to_str().unwrap());
            let disks = DISKS.lock().unwrap();
            if let Some(disk) = disks.iter().find(|disk| path.starts_with(&disk.dir)) {
                let disk = disk.clone();
                disk.state.lock().unwrap().files.entry(path.clone()).or_default();
                (*ours).disk = Box::into_raw(Box::new((disk, path)));
            }
        }
        code
    }
}

unsafe extern "C" fn delete(vfs: *mut sqlite3_vfs, name: *const c_char, sync_dir: c_int) -> c_int {
    // SAFETY: as SQLite's contract for xDelete says.
    unsafe {
        let below: *mut sqlite3_vfs = (*vfs).pAppData.cast();
        let path = PathBuf::from(CStr::from_ptr(name).to_str().unwrap());
        for disk in DISKS.lock().unwrap().iter() {
            let mut state = disk.state.lock().unwrap();
            if state.broken == Some(Fault::PowerCut) && path.starts_with(&disk.dir) {
                return ffi::SQLITE_IOERR_DELETE;
            }
            state.files.remove(&path);
        }
        (*below).xDelete.unwrap()(below, name, sync_dir)
    }
}

/// Asks the disk whether an operation may happen.
unsafe fn begin(file: *mut sqlite3_file, change: Option<Change>) -> Result<(), c_int> {
    // SAFETY: set by `open`, freed by `close` only.
    match unsafe { (*file.cast::<File>()).disk.as_ref() } {
        Some((disk, path)) => disk.begin(path, change),
        None => Ok(()),
    }
}

unsafe extern "C" fn close(file: *mut sqlite3_file) -> c_int {
    // SAFETY: as in `begin`; nothing uses the file after this.
    unsafe {
        let ours = file.cast::<File>();
        if !(*ours).disk.is_null() {
            drop(Box::from_raw((*ours).disk));
            (*ours).disk = ptr::null_mut();
        }
    }
    real!(file.xClose())
}

unsafe extern "C" fn read(file: *mut sqlite3_file, into: *mut c_void, amount: c_int, at: sqlite3_int64) -> c_int {
    real!(file.xRead(into, amount, at))
}

unsafe extern "C" fn write(file: *mut sqlite3_file, from: *const c_void, amount: c_int, at: sqlite3_int64) -> c_int {
    // SAFETY: SQLite gives `amount` bytes.
    let bytes = unsafe { std::slice::from_raw_parts(from.cast::<u8>(), amount as usize) }.to_vec();
    let change = Change::Write { at: at as usize, bytes };
    // SAFETY: the file is open.
    match unsafe { begin(file, Some(change)) } {
        Ok(()) => real!(file.xWrite(from, amount, at)),
        Err(code) => code,
    }
}

unsafe extern "C" fn truncate(file: *mut sqlite3_file, size: sqlite3_int64) -> c_int {
    // SAFETY: the file is open.
    match unsafe { begin(file, Some(Change::Truncate(size as usize))) } {
        Ok(()) => real!(file.xTruncate(size)),
        Err(code) => code,
    }
}

unsafe extern "C" fn sync(file: *mut sqlite3_file, _: c_int) -> c_int {
    // Durability is what the bookkeeping says: the real file need not be synced.
    // SAFETY: the file is open.
    unsafe { begin(file, None) }.err().unwrap_or(ffi::SQLITE_OK)
}

unsafe extern "C" fn file_size(file: *mut sqlite3_file, size: *mut sqlite3_int64) -> c_int {
    real!(file.xFileSize(size))
}

unsafe extern "C" fn lock(file: *mut sqlite3_file, level: c_int) -> c_int {
    real!(file.xLock(level))
}

unsafe extern "C" fn unlock(file: *mut sqlite3_file, level: c_int) -> c_int {
    real!(file.xUnlock(level))
}

unsafe extern "C" fn check_reserved_lock(file: *mut sqlite3_file, held: *mut c_int) -> c_int {
    real!(file.xCheckReservedLock(held))
}

unsafe extern "C" fn file_control(file: *mut sqlite3_file, operation: c_int, argument: *mut c_void) -> c_int {
    real!(file.xFileControl(operation, argument))
}

unsafe extern "C" fn sector_size(file: *mut sqlite3_file) -> c_int {
    real!(file.xSectorSize())
}

unsafe extern "C" fn device_characteristics(file: *mut sqlite3_file) -> c_int {
    real!(file.xDeviceCharacteristics())
}

unsafe extern "C" fn shm_map(
    file: *mut sqlite3_file,
    page: c_int,
    size: c_int,
    extend: c_int,
    into: *mut *mut c_void,
) -> c_int {
    real!(file.xShmMap(page, size, extend, into))
}

unsafe extern "C" fn shm_lock(file: *mut sqlite3_file, offset: c_int, count: c_int, flags: c_int) -> c_int {
    real!(file.xShmLock(offset, count, flags))
}

unsafe extern "C" fn shm_barrier(file: *mut sqlite3_file) {
    real!(file.xShmBarrier())
}

unsafe extern "C" fn shm_unmap(file: *mut sqlite3_file, delete: c_int) -> c_int {
    real!(file.xShmUnmap(delete))
}
