// wit/workflow.wit 49a44c2982d7cc09462c82e949132f0f10b4552baef5f534793ea76dcc0f9ab0; see README.md
// Made from the WIT by wit-bindgen and never edited: README.md says how to make it anew. The `allow`s are the generator's.
pub type Json = helve::workflow::types::Json;
pub type Failure = helve::workflow::types::Failure;
pub type Input = helve::workflow::types::Input;
#[doc(hidden)]
#[allow(non_snake_case, unused_unsafe)]
pub unsafe fn _export_run_cabi<T_: Guest>(
    arg0: *mut u8,
    arg1: usize,
    arg2: *mut u8,
    arg3: usize,
    arg4: i32,
    arg5: *mut u8,
    arg6: usize,
    arg7: *mut u8,
    arg8: usize,
) -> *mut u8 {
    unsafe {
        #[cfg(target_arch = "wasm32")]
        _rt::run_ctors_once();
        let result4 = {
            let len0 = arg1;
            let bytes0 = _rt::Vec::from_raw_parts(arg0.cast(), len0, len0);
            let len1 = arg3;
            let bytes1 = _rt::Vec::from_raw_parts(arg2.cast(), len1, len1);
            T_::run(helve::workflow::types::Input {
                workflow: _rt::string_lift(bytes0),
                parameters: _rt::string_lift(bytes1),
                target: match arg4 {
                    0 => None,
                    1 => {
                        let e = {
                            let len2 = arg6;
                            let bytes2 = _rt::Vec::from_raw_parts(arg5.cast(), len2, len2);
                            let len3 = arg8;
                            let bytes3 = _rt::Vec::from_raw_parts(arg7.cast(), len3, len3);
                            helve::workflow::types::Target {
                                id: _rt::string_lift(bytes2),
                                name: _rt::string_lift(bytes3),
                            }
                        };
                        Some(e)
                    }
                    _ => _rt::invalid_enum_discriminant(),
                },
            })
        };
        let ptr5 = (&raw mut _RET_AREA.0).cast::<u8>();
        match result4 {
            Ok(e) => {
                *ptr5.add(0).cast::<u8>() = (0i32) as u8;
                let vec6 = (e.into_bytes()).into_boxed_slice();
                let ptr6 = vec6.as_ptr().cast::<u8>();
                let len6 = vec6.len();
                ::core::mem::forget(vec6);
                *ptr5.add(2 * ::core::mem::size_of::<*const u8>()).cast::<usize>() = len6;
                *ptr5.add(::core::mem::size_of::<*const u8>()).cast::<*mut u8>() = ptr6.cast_mut();
            }
            Err(e) => {
                *ptr5.add(0).cast::<u8>() = (1i32) as u8;
                let helve::workflow::types::Failure {
                    kind: kind7,
                    message: message7,
                } = e;
                *ptr5.add(::core::mem::size_of::<*const u8>()).cast::<u8>() = (kind7.clone() as i32) as u8;
                let vec8 = (message7.into_bytes()).into_boxed_slice();
                let ptr8 = vec8.as_ptr().cast::<u8>();
                let len8 = vec8.len();
                ::core::mem::forget(vec8);
                *ptr5.add(3 * ::core::mem::size_of::<*const u8>()).cast::<usize>() = len8;
                *ptr5.add(2 * ::core::mem::size_of::<*const u8>()).cast::<*mut u8>() = ptr8.cast_mut();
            }
        };
        ptr5
    }
}
#[doc(hidden)]
#[allow(non_snake_case)]
pub unsafe fn __post_return_run<T_: Guest>(arg0: *mut u8) {
    unsafe {
        let l0 = i32::from(*arg0.add(0).cast::<u8>());
        match l0 {
            0 => {
                let l1 = *arg0.add(::core::mem::size_of::<*const u8>()).cast::<*mut u8>();
                let l2 = *arg0.add(2 * ::core::mem::size_of::<*const u8>()).cast::<usize>();
                _rt::cabi_dealloc(l1, l2, 1);
            }
            _ => {
                let l3 = *arg0.add(2 * ::core::mem::size_of::<*const u8>()).cast::<*mut u8>();
                let l4 = *arg0.add(3 * ::core::mem::size_of::<*const u8>()).cast::<usize>();
                _rt::cabi_dealloc(l3, l4, 1);
            }
        }
    }
}
pub trait Guest {
    /// Runs the workflow. What it returns is the `output` of the run.
    #[allow(async_fn_in_trait)]
    fn run(input: Input) -> ::core::result::Result<Json, Failure>;
}
#[doc(hidden)]
#[macro_export]
macro_rules! __export_world_workflow_cabi {
    ($ty:ident with_types_in $($path_to_types:tt)*) => {
        const _ : () = { #[unsafe (export_name = "run")] unsafe extern "C" fn
        export_run(arg0 : * mut u8, arg1 : usize, arg2 : * mut u8, arg3 : usize, arg4 :
        i32, arg5 : * mut u8, arg6 : usize, arg7 : * mut u8, arg8 : usize,) -> * mut u8 {
        unsafe { $($path_to_types)*:: _export_run_cabi::<$ty > (arg0, arg1, arg2, arg3,
        arg4, arg5, arg6, arg7, arg8) } } #[unsafe (export_name = "cabi_post_run")]
        unsafe extern "C" fn _post_return_run(arg0 : * mut u8,) { unsafe {
        $($path_to_types)*:: __post_return_run::<$ty > (arg0) } } };
    };
}
#[doc(hidden)]
pub use __export_world_workflow_cabi;
#[cfg_attr(target_pointer_width = "64", repr(align(8)))]
#[cfg_attr(target_pointer_width = "32", repr(align(4)))]
struct _RetArea([::core::mem::MaybeUninit<u8>; 4 * ::core::mem::size_of::<*const u8>()]);
static mut _RET_AREA: _RetArea =
    _RetArea([::core::mem::MaybeUninit::uninit(); 4 * ::core::mem::size_of::<*const u8>()]);
#[allow(dead_code, clippy::all)]
pub mod helve {
    pub mod workflow {
        #[allow(dead_code, async_fn_in_trait, unused_imports, clippy::all)]
        pub mod types {
            #[used]
            #[doc(hidden)]
            static __FORCE_SECTION_REF: fn() = super::super::super::__link_custom_section_describing_imports;
            use super::super::super::_rt;
            /// A JSON text.
            pub type Json = _rt::String;
            /// Why something that was started did not end well.
            #[repr(u8)]
            #[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
            pub enum FailureKind {
                /// It failed, after all its retries.
                Failed,
                /// It took longer than it may.
                TimedOut,
                /// It was cancelled, by the workflow or with the whole run.
                Cancelled,
            }
            impl ::core::fmt::Debug for FailureKind {
                fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                    match self {
                        FailureKind::Failed => f.debug_tuple("FailureKind::Failed").finish(),
                        FailureKind::TimedOut => f.debug_tuple("FailureKind::TimedOut").finish(),
                        FailureKind::Cancelled => f.debug_tuple("FailureKind::Cancelled").finish(),
                    }
                }
            }
            impl FailureKind {
                #[doc(hidden)]
                pub unsafe fn _lift(val: u8) -> FailureKind {
                    if !cfg!(debug_assertions) {
                        return unsafe { ::core::mem::transmute(val) };
                    }
                    match val {
                        0 => FailureKind::Failed,
                        1 => FailureKind::TimedOut,
                        2 => FailureKind::Cancelled,
                        _ => panic!("invalid enum discriminant"),
                    }
                }
            }
            /// How something ended that did not end well.
            #[derive(Clone)]
            pub struct Failure {
                pub kind: FailureKind,
                /// For people.
                pub message: _rt::String,
            }
            impl ::core::fmt::Debug for Failure {
                fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                    f.debug_struct("Failure")
                        .field("kind", &self.kind)
                        .field("message", &self.message)
                        .finish()
                }
            }
            impl ::core::fmt::Display for Failure {
                fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                    write!(f, "{:?}", self)
                }
            }
            impl ::core::error::Error for Failure {}
            /// What is analysed.
            #[derive(Clone)]
            pub struct Target {
                /// BLAKE3 of the packed target, in hex.
                pub id: _rt::String,
                /// What its user calls it.
                pub name: _rt::String,
            }
            impl ::core::fmt::Debug for Target {
                fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                    f.debug_struct("Target")
                        .field("id", &self.id)
                        .field("name", &self.name)
                        .finish()
                }
            }
            /// What a run is started with.
            #[derive(Clone)]
            pub struct Input {
                /// The name of the workflow.
                pub workflow: _rt::String,
                /// The parameters with their defaults, checked against the workflow's metadata: a JSON object.
                pub parameters: Json,
                pub target: ::core::option::Option<Target>,
            }
            impl ::core::fmt::Debug for Input {
                fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                    f.debug_struct("Input")
                        .field("workflow", &self.workflow)
                        .field("parameters", &self.parameters)
                        .field("target", &self.target)
                        .finish()
                }
            }
            /// How failed attempts are repeated.
            #[repr(C)]
            #[derive(Clone, Copy)]
            pub struct Retry {
                /// 1 means never.
                pub max_attempts: u32,
                pub initial_interval_ms: u64,
                /// Each pause is this many times as long as the one before.
                pub backoff: f64,
                pub max_interval_ms: u64,
            }
            impl ::core::fmt::Debug for Retry {
                fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                    f.debug_struct("Retry")
                        .field("max-attempts", &self.max_attempts)
                        .field("initial-interval-ms", &self.initial_interval_ms)
                        .field("backoff", &self.backoff)
                        .field("max-interval-ms", &self.max_interval_ms)
                        .finish()
                }
            }
            /// What a module is called with, besides its configuration. Nothing given means what the workflow's metadata says.
            #[derive(Clone)]
            pub struct ModuleOptions {
                /// Whose workers run it.
                pub vertical: ::core::option::Option<_rt::String>,
                /// The longest time of one attempt.
                pub timeout_ms: ::core::option::Option<u64>,
                pub retry: ::core::option::Option<Retry>,
            }
            impl ::core::fmt::Debug for ModuleOptions {
                fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                    f.debug_struct("ModuleOptions")
                        .field("vertical", &self.vertical)
                        .field("timeout-ms", &self.timeout_ms)
                        .field("retry", &self.retry)
                        .finish()
                }
            }
            #[repr(u8)]
            #[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
            pub enum Severity {
                Note,
                Low,
                Medium,
                High,
                Critical,
            }
            impl ::core::fmt::Debug for Severity {
                fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                    match self {
                        Severity::Note => f.debug_tuple("Severity::Note").finish(),
                        Severity::Low => f.debug_tuple("Severity::Low").finish(),
                        Severity::Medium => f.debug_tuple("Severity::Medium").finish(),
                        Severity::High => f.debug_tuple("Severity::High").finish(),
                        Severity::Critical => f.debug_tuple("Severity::Critical").finish(),
                    }
                }
            }
            impl Severity {
                #[doc(hidden)]
                pub unsafe fn _lift(val: u8) -> Severity {
                    if !cfg!(debug_assertions) {
                        return unsafe { ::core::mem::transmute(val) };
                    }
                    match val {
                        0 => Severity::Note,
                        1 => Severity::Low,
                        2 => Severity::Medium,
                        3 => Severity::High,
                        4 => Severity::Critical,
                        _ => panic!("invalid enum discriminant"),
                    }
                }
            }
            /// Something that the workflow itself found, by looking at what its modules said. Modules report their findings
            /// themselves; those need not be repeated.
            #[derive(Clone)]
            pub struct Finding {
                /// A stable name, such as `no-update-in-a-year`.
                pub rule: _rt::String,
                pub severity: Severity,
                /// One or two sentences for people. Never a raw secret.
                pub message: _rt::String,
                /// A path within the target, with forward slashes.
                pub path: _rt::String,
                /// From 1.
                pub line: ::core::option::Option<u32>,
            }
            impl ::core::fmt::Debug for Finding {
                fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                    f.debug_struct("Finding")
                        .field("rule", &self.rule)
                        .field("severity", &self.severity)
                        .field("message", &self.message)
                        .field("path", &self.path)
                        .field("line", &self.line)
                        .finish()
                }
            }
            #[repr(u8)]
            #[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
            pub enum Level {
                Debug,
                Info,
                Warn,
                Error,
            }
            impl ::core::fmt::Debug for Level {
                fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                    match self {
                        Level::Debug => f.debug_tuple("Level::Debug").finish(),
                        Level::Info => f.debug_tuple("Level::Info").finish(),
                        Level::Warn => f.debug_tuple("Level::Warn").finish(),
                        Level::Error => f.debug_tuple("Level::Error").finish(),
                    }
                }
            }
            impl Level {
                #[doc(hidden)]
                pub unsafe fn _lift(val: u8) -> Level {
                    if !cfg!(debug_assertions) {
                        return unsafe { ::core::mem::transmute(val) };
                    }
                    match val {
                        0 => Level::Debug,
                        1 => Level::Info,
                        2 => Level::Warn,
                        3 => Level::Error,
                        _ => panic!("invalid enum discriminant"),
                    }
                }
            }
        }
        /// What a workflow can do. Only the functions that wait can take time.
        #[allow(dead_code, async_fn_in_trait, unused_imports, clippy::all)]
        pub mod durable {
            #[used]
            #[doc(hidden)]
            static __FORCE_SECTION_REF: fn() = super::super::super::__link_custom_section_describing_imports;
            use super::super::super::_rt;
            pub type Json = super::super::super::helve::workflow::types::Json;
            pub type Failure = super::super::super::helve::workflow::types::Failure;
            pub type ModuleOptions = super::super::super::helve::workflow::types::ModuleOptions;
            pub type Finding = super::super::super::helve::workflow::types::Finding;
            pub type Level = super::super::super::helve::workflow::types::Level;
            /// Something that was started and ends once. Dropping it does not stop it; nobody will ask how it ended.
            #[derive(Debug)]
            #[repr(transparent)]
            pub struct Task {
                handle: _rt::Resource<Task>,
            }
            impl Task {
                #[doc(hidden)]
                pub unsafe fn from_handle(handle: u32) -> Self {
                    Self {
                        handle: unsafe { _rt::Resource::from_handle(handle) },
                    }
                }
                #[doc(hidden)]
                pub fn take_handle(&self) -> u32 {
                    _rt::Resource::take_handle(&self.handle)
                }
                #[doc(hidden)]
                pub fn handle(&self) -> u32 {
                    _rt::Resource::handle(&self.handle)
                }
            }
            unsafe impl _rt::WasmResource for Task {
                #[inline]
                unsafe fn drop(_handle: u32) {
                    #[cfg(target_arch = "wasm32")]
                    #[link(wasm_import_module = "helve:workflow/durable@0.1.0")]
                    unsafe extern "C" {
                        #[link_name = "[resource-drop]task"]
                        fn drop(_: i32);
                    }
                    #[cfg(not(target_arch = "wasm32"))]
                    unsafe extern "C" fn drop(_: i32) {
                        unreachable!()
                    }
                    unsafe {
                        drop(_handle as i32);
                    }
                }
            }
            impl Task {
                #[allow(unused_unsafe, clippy::all)]
                /// Waits until it has ended, and says how. It may be asked again.
                #[allow(async_fn_in_trait)]
                pub fn wait(&self) -> ::core::result::Result<Json, Failure> {
                    unsafe {
                        #[cfg_attr(target_pointer_width = "64", repr(align(8)))]
                        #[cfg_attr(target_pointer_width = "32", repr(align(4)))]
                        struct RetArea([::core::mem::MaybeUninit<u8>; 4 * ::core::mem::size_of::<*const u8>()]);
                        let mut ret_area =
                            RetArea([::core::mem::MaybeUninit::uninit(); 4 * ::core::mem::size_of::<*const u8>()]);
                        let ptr0 = ret_area.0.as_mut_ptr().cast::<u8>();
                        #[cfg(target_arch = "wasm32")]
                        #[link(wasm_import_module = "helve:workflow/durable@0.1.0")]
                        unsafe extern "C" {
                            #[link_name = "[method]task.wait"]
                            fn wit_import1(_: i32, _: *mut u8);
                        }
                        #[cfg(not(target_arch = "wasm32"))]
                        unsafe extern "C" fn wit_import1(_: i32, _: *mut u8) {
                            unreachable!()
                        }
                        wit_import1((self).handle() as i32, ptr0);
                        let l2 = i32::from(*ptr0.add(0).cast::<u8>());
                        let result10 = match l2 {
                            0 => {
                                let e = {
                                    let l3 = *ptr0.add(::core::mem::size_of::<*const u8>()).cast::<*mut u8>();
                                    let l4 = *ptr0.add(2 * ::core::mem::size_of::<*const u8>()).cast::<usize>();
                                    let len5 = l4;
                                    let bytes5 = _rt::Vec::from_raw_parts(l3.cast(), len5, len5);
                                    _rt::string_lift(bytes5)
                                };
                                Ok(e)
                            }
                            1 => {
                                let e = {
                                    let l6 = i32::from(*ptr0.add(::core::mem::size_of::<*const u8>()).cast::<u8>());
                                    let l7 = *ptr0.add(2 * ::core::mem::size_of::<*const u8>()).cast::<*mut u8>();
                                    let l8 = *ptr0.add(3 * ::core::mem::size_of::<*const u8>()).cast::<usize>();
                                    let len9 = l8;
                                    let bytes9 = _rt::Vec::from_raw_parts(l7.cast(), len9, len9);
                                    super::super::super::helve::workflow::types::Failure {
                                        kind: super::super::super::helve::workflow::types::FailureKind::_lift(l6 as u8),
                                        message: _rt::string_lift(bytes9),
                                    }
                                };
                                Err(e)
                            }
                            _ => _rt::invalid_enum_discriminant(),
                        };
                        result10
                    }
                }
            }
            impl Task {
                #[allow(unused_unsafe, clippy::all)]
                /// Whether it has ended.
                #[allow(async_fn_in_trait)]
                pub fn is_done(&self) -> bool {
                    unsafe {
                        #[cfg(target_arch = "wasm32")]
                        #[link(wasm_import_module = "helve:workflow/durable@0.1.0")]
                        unsafe extern "C" {
                            #[link_name = "[method]task.is-done"]
                            fn wit_import0(_: i32) -> i32;
                        }
                        #[cfg(not(target_arch = "wasm32"))]
                        unsafe extern "C" fn wit_import0(_: i32) -> i32 {
                            unreachable!()
                        }
                        let ret = wit_import0((self).handle() as i32);
                        _rt::bool_lift(ret as u8)
                    }
                }
            }
            impl Task {
                #[allow(unused_unsafe, clippy::all)]
                /// Asks it to end. It may still end well, or take a while to clean up.
                #[allow(async_fn_in_trait)]
                pub fn cancel(&self) -> () {
                    unsafe {
                        #[cfg(target_arch = "wasm32")]
                        #[link(wasm_import_module = "helve:workflow/durable@0.1.0")]
                        unsafe extern "C" {
                            #[link_name = "[method]task.cancel"]
                            fn wit_import0(_: i32);
                        }
                        #[cfg(not(target_arch = "wasm32"))]
                        unsafe extern "C" fn wit_import0(_: i32) {
                            unreachable!()
                        }
                        wit_import0((self).handle() as i32);
                    }
                }
            }
            #[allow(unused_unsafe, clippy::all)]
            /// Starts a module on the run's target, as the step of that name. A name is used once in a run. The answer is the
            /// step's output: `status` with its `state`, number of `findings`, `by_severity`, `summary`.
            #[allow(async_fn_in_trait)]
            pub fn start_module(step: &str, module: &str, config: &str, options: &ModuleOptions) -> Task {
                unsafe {
                    let vec0 = step;
                    let ptr0 = vec0.as_ptr().cast::<u8>();
                    let len0 = vec0.len();
                    let vec1 = module;
                    let ptr1 = vec1.as_ptr().cast::<u8>();
                    let len1 = vec1.len();
                    let vec2 = config;
                    let ptr2 = vec2.as_ptr().cast::<u8>();
                    let len2 = vec2.len();
                    let super::super::super::helve::workflow::types::ModuleOptions {
                        vertical: vertical3,
                        timeout_ms: timeout_ms3,
                        retry: retry3,
                    } = options;
                    let (result5_0, result5_1, result5_2) = match vertical3 {
                        Some(e) => {
                            let vec4 = e;
                            let ptr4 = vec4.as_ptr().cast::<u8>();
                            let len4 = vec4.len();
                            (1i32, ptr4.cast_mut(), len4)
                        }
                        None => (0i32, ::core::ptr::null_mut(), 0usize),
                    };
                    let (result6_0, result6_1) = match timeout_ms3 {
                        Some(e) => (1i32, _rt::as_i64(e)),
                        None => (0i32, 0i64),
                    };
                    let (result8_0, result8_1, result8_2, result8_3, result8_4) = match retry3 {
                        Some(e) => {
                            let super::super::super::helve::workflow::types::Retry {
                                max_attempts: max_attempts7,
                                initial_interval_ms: initial_interval_ms7,
                                backoff: backoff7,
                                max_interval_ms: max_interval_ms7,
                            } = e;
                            (
                                1i32,
                                _rt::as_i32(max_attempts7),
                                _rt::as_i64(initial_interval_ms7),
                                _rt::as_f64(backoff7),
                                _rt::as_i64(max_interval_ms7),
                            )
                        }
                        None => (0i32, 0i32, 0i64, 0.0f64, 0i64),
                    };
                    #[cfg(target_arch = "wasm32")]
                    #[link(wasm_import_module = "helve:workflow/durable@0.1.0")]
                    unsafe extern "C" {
                        #[link_name = "start-module"]
                        fn wit_import9(
                            _: *mut u8,
                            _: usize,
                            _: *mut u8,
                            _: usize,
                            _: *mut u8,
                            _: usize,
                            _: i32,
                            _: *mut u8,
                            _: usize,
                            _: i32,
                            _: i64,
                            _: i32,
                            _: i32,
                            _: i64,
                            _: f64,
                            _: i64,
                        ) -> i32;
                    }
                    #[cfg(not(target_arch = "wasm32"))]
                    unsafe extern "C" fn wit_import9(
                        _: *mut u8,
                        _: usize,
                        _: *mut u8,
                        _: usize,
                        _: *mut u8,
                        _: usize,
                        _: i32,
                        _: *mut u8,
                        _: usize,
                        _: i32,
                        _: i64,
                        _: i32,
                        _: i32,
                        _: i64,
                        _: f64,
                        _: i64,
                    ) -> i32 {
                        unreachable!()
                    }
                    let ret = wit_import9(
                        ptr0.cast_mut(),
                        len0,
                        ptr1.cast_mut(),
                        len1,
                        ptr2.cast_mut(),
                        len2,
                        result5_0,
                        result5_1,
                        result5_2,
                        result6_0,
                        result6_1,
                        result8_0,
                        result8_1,
                        result8_2,
                        result8_3,
                        result8_4,
                    );
                    Task::from_handle(ret as u32)
                }
            }
            #[allow(unused_unsafe, clippy::all)]
            /// Starts a timer. The answer is null.
            #[allow(async_fn_in_trait)]
            pub fn start_timer(ms: u64) -> Task {
                unsafe {
                    #[cfg(target_arch = "wasm32")]
                    #[link(wasm_import_module = "helve:workflow/durable@0.1.0")]
                    unsafe extern "C" {
                        #[link_name = "start-timer"]
                        fn wit_import0(_: i64) -> i32;
                    }
                    #[cfg(not(target_arch = "wasm32"))]
                    unsafe extern "C" fn wit_import0(_: i64) -> i32 {
                        unreachable!()
                    }
                    let ret = wit_import0(_rt::as_i64(&ms));
                    Task::from_handle(ret as u32)
                }
            }
            #[allow(unused_unsafe, clippy::all)]
            /// Starts a run of another workflow on the same target. No id means one made from this run's. The answer is the
            /// run's output.
            #[allow(async_fn_in_trait)]
            pub fn start_child(workflow: &str, id: ::core::option::Option<&str>, parameters: &str) -> Task {
                unsafe {
                    let vec0 = workflow;
                    let ptr0 = vec0.as_ptr().cast::<u8>();
                    let len0 = vec0.len();
                    let (result2_0, result2_1, result2_2) = match id {
                        Some(e) => {
                            let vec1 = e;
                            let ptr1 = vec1.as_ptr().cast::<u8>();
                            let len1 = vec1.len();
                            (1i32, ptr1.cast_mut(), len1)
                        }
                        None => (0i32, ::core::ptr::null_mut(), 0usize),
                    };
                    let vec3 = parameters;
                    let ptr3 = vec3.as_ptr().cast::<u8>();
                    let len3 = vec3.len();
                    #[cfg(target_arch = "wasm32")]
                    #[link(wasm_import_module = "helve:workflow/durable@0.1.0")]
                    unsafe extern "C" {
                        #[link_name = "start-child"]
                        fn wit_import4(_: *mut u8, _: usize, _: i32, _: *mut u8, _: usize, _: *mut u8, _: usize)
                        -> i32;
                    }
                    #[cfg(not(target_arch = "wasm32"))]
                    unsafe extern "C" fn wit_import4(
                        _: *mut u8,
                        _: usize,
                        _: i32,
                        _: *mut u8,
                        _: usize,
                        _: *mut u8,
                        _: usize,
                    ) -> i32 {
                        unreachable!()
                    }
                    let ret = wit_import4(
                        ptr0.cast_mut(),
                        len0,
                        result2_0,
                        result2_1,
                        result2_2,
                        ptr3.cast_mut(),
                        len3,
                    );
                    Task::from_handle(ret as u32)
                }
            }
            #[allow(unused_unsafe, clippy::all)]
            /// Asks for the next signal of that name that nobody else asked for. The answer is its argument.
            #[allow(async_fn_in_trait)]
            pub fn next_signal(name: &str) -> Task {
                unsafe {
                    let vec0 = name;
                    let ptr0 = vec0.as_ptr().cast::<u8>();
                    let len0 = vec0.len();
                    #[cfg(target_arch = "wasm32")]
                    #[link(wasm_import_module = "helve:workflow/durable@0.1.0")]
                    unsafe extern "C" {
                        #[link_name = "next-signal"]
                        fn wit_import1(_: *mut u8, _: usize) -> i32;
                    }
                    #[cfg(not(target_arch = "wasm32"))]
                    unsafe extern "C" fn wit_import1(_: *mut u8, _: usize) -> i32 {
                        unreachable!()
                    }
                    let ret = wit_import1(ptr0.cast_mut(), len0);
                    Task::from_handle(ret as u32)
                }
            }
            #[allow(unused_unsafe, clippy::all)]
            /// Waits until one of them has ended; the lowest place of those that have.
            #[allow(async_fn_in_trait)]
            pub fn wait_any(tasks: &[&Task]) -> u32 {
                unsafe {
                    let vec0 = tasks;
                    let len0 = vec0.len();
                    let layout0 = _rt::alloc::Layout::from_size_align(vec0.len() * 4, 4).unwrap();
                    let (result0, _cleanup0) = ::wit_bindgen::rt::Cleanup::new(layout0);
                    for (i, e) in vec0.into_iter().enumerate() {
                        let base = result0.add(i * 4);
                        {
                            *base.add(0).cast::<i32>() = (e).handle() as i32;
                        }
                    }
                    #[cfg(target_arch = "wasm32")]
                    #[link(wasm_import_module = "helve:workflow/durable@0.1.0")]
                    unsafe extern "C" {
                        #[link_name = "wait-any"]
                        fn wit_import1(_: *mut u8, _: usize) -> i32;
                    }
                    #[cfg(not(target_arch = "wasm32"))]
                    unsafe extern "C" fn wit_import1(_: *mut u8, _: usize) -> i32 {
                        unreachable!()
                    }
                    let ret = wit_import1(result0, len0);
                    ret as u32
                }
            }
            #[allow(unused_unsafe, clippy::all)]
            /// Waits until all of them have ended.
            #[allow(async_fn_in_trait)]
            pub fn wait_all(tasks: &[&Task]) -> () {
                unsafe {
                    let vec0 = tasks;
                    let len0 = vec0.len();
                    let layout0 = _rt::alloc::Layout::from_size_align(vec0.len() * 4, 4).unwrap();
                    let (result0, _cleanup0) = ::wit_bindgen::rt::Cleanup::new(layout0);
                    for (i, e) in vec0.into_iter().enumerate() {
                        let base = result0.add(i * 4);
                        {
                            *base.add(0).cast::<i32>() = (e).handle() as i32;
                        }
                    }
                    #[cfg(target_arch = "wasm32")]
                    #[link(wasm_import_module = "helve:workflow/durable@0.1.0")]
                    unsafe extern "C" {
                        #[link_name = "wait-all"]
                        fn wit_import1(_: *mut u8, _: usize);
                    }
                    #[cfg(not(target_arch = "wasm32"))]
                    unsafe extern "C" fn wit_import1(_: *mut u8, _: usize) {
                        unreachable!()
                    }
                    wit_import1(result0, len0);
                }
            }
            #[allow(unused_unsafe, clippy::all)]
            /// Starts a module and waits for it.
            #[allow(async_fn_in_trait)]
            pub fn call_module(
                step: &str,
                module: &str,
                config: &str,
                options: &ModuleOptions,
            ) -> ::core::result::Result<Json, Failure> {
                unsafe {
                    #[cfg_attr(target_pointer_width = "64", repr(align(8)))]
                    #[cfg_attr(target_pointer_width = "32", repr(align(4)))]
                    struct RetArea([::core::mem::MaybeUninit<u8>; 4 * ::core::mem::size_of::<*const u8>()]);
                    let mut ret_area =
                        RetArea([::core::mem::MaybeUninit::uninit(); 4 * ::core::mem::size_of::<*const u8>()]);
                    let vec0 = step;
                    let ptr0 = vec0.as_ptr().cast::<u8>();
                    let len0 = vec0.len();
                    let vec1 = module;
                    let ptr1 = vec1.as_ptr().cast::<u8>();
                    let len1 = vec1.len();
                    let vec2 = config;
                    let ptr2 = vec2.as_ptr().cast::<u8>();
                    let len2 = vec2.len();
                    let super::super::super::helve::workflow::types::ModuleOptions {
                        vertical: vertical3,
                        timeout_ms: timeout_ms3,
                        retry: retry3,
                    } = options;
                    let (result5_0, result5_1, result5_2) = match vertical3 {
                        Some(e) => {
                            let vec4 = e;
                            let ptr4 = vec4.as_ptr().cast::<u8>();
                            let len4 = vec4.len();
                            (1i32, ptr4.cast_mut(), len4)
                        }
                        None => (0i32, ::core::ptr::null_mut(), 0usize),
                    };
                    let (result6_0, result6_1) = match timeout_ms3 {
                        Some(e) => (1i32, _rt::as_i64(e)),
                        None => (0i32, 0i64),
                    };
                    let (result8_0, result8_1, result8_2, result8_3, result8_4) = match retry3 {
                        Some(e) => {
                            let super::super::super::helve::workflow::types::Retry {
                                max_attempts: max_attempts7,
                                initial_interval_ms: initial_interval_ms7,
                                backoff: backoff7,
                                max_interval_ms: max_interval_ms7,
                            } = e;
                            (
                                1i32,
                                _rt::as_i32(max_attempts7),
                                _rt::as_i64(initial_interval_ms7),
                                _rt::as_f64(backoff7),
                                _rt::as_i64(max_interval_ms7),
                            )
                        }
                        None => (0i32, 0i32, 0i64, 0.0f64, 0i64),
                    };
                    let ptr9 = ret_area.0.as_mut_ptr().cast::<u8>();
                    #[cfg(target_arch = "wasm32")]
                    #[link(wasm_import_module = "helve:workflow/durable@0.1.0")]
                    unsafe extern "C" {
                        #[link_name = "call-module"]
                        fn wit_import10(
                            _: *mut u8,
                            _: usize,
                            _: *mut u8,
                            _: usize,
                            _: *mut u8,
                            _: usize,
                            _: i32,
                            _: *mut u8,
                            _: usize,
                            _: i32,
                            _: i64,
                            _: i32,
                            _: i32,
                            _: i64,
                            _: f64,
                            _: i64,
                            _: *mut u8,
                        );
                    }
                    #[cfg(not(target_arch = "wasm32"))]
                    unsafe extern "C" fn wit_import10(
                        _: *mut u8,
                        _: usize,
                        _: *mut u8,
                        _: usize,
                        _: *mut u8,
                        _: usize,
                        _: i32,
                        _: *mut u8,
                        _: usize,
                        _: i32,
                        _: i64,
                        _: i32,
                        _: i32,
                        _: i64,
                        _: f64,
                        _: i64,
                        _: *mut u8,
                    ) {
                        unreachable!()
                    }
                    wit_import10(
                        ptr0.cast_mut(),
                        len0,
                        ptr1.cast_mut(),
                        len1,
                        ptr2.cast_mut(),
                        len2,
                        result5_0,
                        result5_1,
                        result5_2,
                        result6_0,
                        result6_1,
                        result8_0,
                        result8_1,
                        result8_2,
                        result8_3,
                        result8_4,
                        ptr9,
                    );
                    let l11 = i32::from(*ptr9.add(0).cast::<u8>());
                    let result19 = match l11 {
                        0 => {
                            let e = {
                                let l12 = *ptr9.add(::core::mem::size_of::<*const u8>()).cast::<*mut u8>();
                                let l13 = *ptr9.add(2 * ::core::mem::size_of::<*const u8>()).cast::<usize>();
                                let len14 = l13;
                                let bytes14 = _rt::Vec::from_raw_parts(l12.cast(), len14, len14);
                                _rt::string_lift(bytes14)
                            };
                            Ok(e)
                        }
                        1 => {
                            let e = {
                                let l15 = i32::from(*ptr9.add(::core::mem::size_of::<*const u8>()).cast::<u8>());
                                let l16 = *ptr9.add(2 * ::core::mem::size_of::<*const u8>()).cast::<*mut u8>();
                                let l17 = *ptr9.add(3 * ::core::mem::size_of::<*const u8>()).cast::<usize>();
                                let len18 = l17;
                                let bytes18 = _rt::Vec::from_raw_parts(l16.cast(), len18, len18);
                                super::super::super::helve::workflow::types::Failure {
                                    kind: super::super::super::helve::workflow::types::FailureKind::_lift(l15 as u8),
                                    message: _rt::string_lift(bytes18),
                                }
                            };
                            Err(e)
                        }
                        _ => _rt::invalid_enum_discriminant(),
                    };
                    result19
                }
            }
            #[allow(unused_unsafe, clippy::all)]
            /// Waits for that time; ends early only when the run is cancelled.
            #[allow(async_fn_in_trait)]
            pub fn sleep(ms: u64) -> ::core::result::Result<(), Failure> {
                unsafe {
                    #[cfg_attr(target_pointer_width = "64", repr(align(8)))]
                    #[cfg_attr(target_pointer_width = "32", repr(align(4)))]
                    struct RetArea([::core::mem::MaybeUninit<u8>; 4 * ::core::mem::size_of::<*const u8>()]);
                    let mut ret_area =
                        RetArea([::core::mem::MaybeUninit::uninit(); 4 * ::core::mem::size_of::<*const u8>()]);
                    let ptr0 = ret_area.0.as_mut_ptr().cast::<u8>();
                    #[cfg(target_arch = "wasm32")]
                    #[link(wasm_import_module = "helve:workflow/durable@0.1.0")]
                    unsafe extern "C" {
                        #[link_name = "sleep"]
                        fn wit_import1(_: i64, _: *mut u8);
                    }
                    #[cfg(not(target_arch = "wasm32"))]
                    unsafe extern "C" fn wit_import1(_: i64, _: *mut u8) {
                        unreachable!()
                    }
                    wit_import1(_rt::as_i64(&ms), ptr0);
                    let l2 = i32::from(*ptr0.add(0).cast::<u8>());
                    let result7 = match l2 {
                        0 => {
                            let e = ();
                            Ok(e)
                        }
                        1 => {
                            let e = {
                                let l3 = i32::from(*ptr0.add(::core::mem::size_of::<*const u8>()).cast::<u8>());
                                let l4 = *ptr0.add(2 * ::core::mem::size_of::<*const u8>()).cast::<*mut u8>();
                                let l5 = *ptr0.add(3 * ::core::mem::size_of::<*const u8>()).cast::<usize>();
                                let len6 = l5;
                                let bytes6 = _rt::Vec::from_raw_parts(l4.cast(), len6, len6);
                                super::super::super::helve::workflow::types::Failure {
                                    kind: super::super::super::helve::workflow::types::FailureKind::_lift(l3 as u8),
                                    message: _rt::string_lift(bytes6),
                                }
                            };
                            Err(e)
                        }
                        _ => _rt::invalid_enum_discriminant(),
                    };
                    result7
                }
            }
            #[allow(unused_unsafe, clippy::all)]
            /// Waits for a signal.
            #[allow(async_fn_in_trait)]
            pub fn wait_signal(name: &str) -> ::core::result::Result<Json, Failure> {
                unsafe {
                    #[cfg_attr(target_pointer_width = "64", repr(align(8)))]
                    #[cfg_attr(target_pointer_width = "32", repr(align(4)))]
                    struct RetArea([::core::mem::MaybeUninit<u8>; 4 * ::core::mem::size_of::<*const u8>()]);
                    let mut ret_area =
                        RetArea([::core::mem::MaybeUninit::uninit(); 4 * ::core::mem::size_of::<*const u8>()]);
                    let vec0 = name;
                    let ptr0 = vec0.as_ptr().cast::<u8>();
                    let len0 = vec0.len();
                    let ptr1 = ret_area.0.as_mut_ptr().cast::<u8>();
                    #[cfg(target_arch = "wasm32")]
                    #[link(wasm_import_module = "helve:workflow/durable@0.1.0")]
                    unsafe extern "C" {
                        #[link_name = "wait-signal"]
                        fn wit_import2(_: *mut u8, _: usize, _: *mut u8);
                    }
                    #[cfg(not(target_arch = "wasm32"))]
                    unsafe extern "C" fn wit_import2(_: *mut u8, _: usize, _: *mut u8) {
                        unreachable!()
                    }
                    wit_import2(ptr0.cast_mut(), len0, ptr1);
                    let l3 = i32::from(*ptr1.add(0).cast::<u8>());
                    let result11 = match l3 {
                        0 => {
                            let e = {
                                let l4 = *ptr1.add(::core::mem::size_of::<*const u8>()).cast::<*mut u8>();
                                let l5 = *ptr1.add(2 * ::core::mem::size_of::<*const u8>()).cast::<usize>();
                                let len6 = l5;
                                let bytes6 = _rt::Vec::from_raw_parts(l4.cast(), len6, len6);
                                _rt::string_lift(bytes6)
                            };
                            Ok(e)
                        }
                        1 => {
                            let e = {
                                let l7 = i32::from(*ptr1.add(::core::mem::size_of::<*const u8>()).cast::<u8>());
                                let l8 = *ptr1.add(2 * ::core::mem::size_of::<*const u8>()).cast::<*mut u8>();
                                let l9 = *ptr1.add(3 * ::core::mem::size_of::<*const u8>()).cast::<usize>();
                                let len10 = l9;
                                let bytes10 = _rt::Vec::from_raw_parts(l8.cast(), len10, len10);
                                super::super::super::helve::workflow::types::Failure {
                                    kind: super::super::super::helve::workflow::types::FailureKind::_lift(l7 as u8),
                                    message: _rt::string_lift(bytes10),
                                }
                            };
                            Err(e)
                        }
                        _ => _rt::invalid_enum_discriminant(),
                    };
                    result11
                }
            }
            #[allow(unused_unsafe, clippy::all)]
            /// Whether somebody asked to cancel the run. From then on, what was under way is cancelled; what is started later
            /// runs, so that a workflow can clean up.
            #[allow(async_fn_in_trait)]
            pub fn is_cancelled() -> bool {
                unsafe {
                    #[cfg(target_arch = "wasm32")]
                    #[link(wasm_import_module = "helve:workflow/durable@0.1.0")]
                    unsafe extern "C" {
                        #[link_name = "is-cancelled"]
                        fn wit_import0() -> i32;
                    }
                    #[cfg(not(target_arch = "wasm32"))]
                    unsafe extern "C" fn wit_import0() -> i32 {
                        unreachable!()
                    }
                    let ret = wit_import0();
                    _rt::bool_lift(ret as u8)
                }
            }
            #[allow(unused_unsafe, clippy::all)]
            /// Milliseconds since 1970: when the history last went on. It stands still while the workflow computes.
            #[allow(async_fn_in_trait)]
            pub fn now() -> u64 {
                unsafe {
                    #[cfg(target_arch = "wasm32")]
                    #[link(wasm_import_module = "helve:workflow/durable@0.1.0")]
                    unsafe extern "C" {
                        #[link_name = "now"]
                        fn wit_import0() -> i64;
                    }
                    #[cfg(not(target_arch = "wasm32"))]
                    unsafe extern "C" fn wit_import0() -> i64 {
                        unreachable!()
                    }
                    let ret = wit_import0();
                    ret as u64
                }
            }
            #[allow(unused_unsafe, clippy::all)]
            /// A random number, the same each time the run is repeated.
            #[allow(async_fn_in_trait)]
            pub fn random() -> u64 {
                unsafe {
                    #[cfg(target_arch = "wasm32")]
                    #[link(wasm_import_module = "helve:workflow/durable@0.1.0")]
                    unsafe extern "C" {
                        #[link_name = "random"]
                        fn wit_import0() -> i64;
                    }
                    #[cfg(not(target_arch = "wasm32"))]
                    unsafe extern "C" fn wit_import0() -> i64 {
                        unreachable!()
                    }
                    let ret = wit_import0();
                    ret as u64
                }
            }
            #[allow(unused_unsafe, clippy::all)]
            /// Says in a few words what the run does; shown while it runs.
            #[allow(async_fn_in_trait)]
            pub fn set_status(text: &str) -> () {
                unsafe {
                    let vec0 = text;
                    let ptr0 = vec0.as_ptr().cast::<u8>();
                    let len0 = vec0.len();
                    #[cfg(target_arch = "wasm32")]
                    #[link(wasm_import_module = "helve:workflow/durable@0.1.0")]
                    unsafe extern "C" {
                        #[link_name = "set-status"]
                        fn wit_import1(_: *mut u8, _: usize);
                    }
                    #[cfg(not(target_arch = "wasm32"))]
                    unsafe extern "C" fn wit_import1(_: *mut u8, _: usize) {
                        unreachable!()
                    }
                    wit_import1(ptr0.cast_mut(), len0);
                }
            }
            #[allow(unused_unsafe, clippy::all)]
            /// Says how far the run has come; shown while it runs. A total of 0 means that it is not known.
            #[allow(async_fn_in_trait)]
            pub fn set_progress(done: u64, total: u64) -> () {
                unsafe {
                    #[cfg(target_arch = "wasm32")]
                    #[link(wasm_import_module = "helve:workflow/durable@0.1.0")]
                    unsafe extern "C" {
                        #[link_name = "set-progress"]
                        fn wit_import0(_: i64, _: i64);
                    }
                    #[cfg(not(target_arch = "wasm32"))]
                    unsafe extern "C" fn wit_import0(_: i64, _: i64) {
                        unreachable!()
                    }
                    wit_import0(_rt::as_i64(&done), _rt::as_i64(&total));
                }
            }
            #[allow(unused_unsafe, clippy::all)]
            /// Adds a finding to the run's report.
            #[allow(async_fn_in_trait)]
            pub fn emit(finding: &Finding) -> () {
                unsafe {
                    let super::super::super::helve::workflow::types::Finding {
                        rule: rule0,
                        severity: severity0,
                        message: message0,
                        path: path0,
                        line: line0,
                    } = finding;
                    let vec1 = rule0;
                    let ptr1 = vec1.as_ptr().cast::<u8>();
                    let len1 = vec1.len();
                    let vec2 = message0;
                    let ptr2 = vec2.as_ptr().cast::<u8>();
                    let len2 = vec2.len();
                    let vec3 = path0;
                    let ptr3 = vec3.as_ptr().cast::<u8>();
                    let len3 = vec3.len();
                    let (result4_0, result4_1) = match line0 {
                        Some(e) => (1i32, _rt::as_i32(e)),
                        None => (0i32, 0i32),
                    };
                    #[cfg(target_arch = "wasm32")]
                    #[link(wasm_import_module = "helve:workflow/durable@0.1.0")]
                    unsafe extern "C" {
                        #[link_name = "emit"]
                        fn wit_import5(
                            _: *mut u8,
                            _: usize,
                            _: i32,
                            _: *mut u8,
                            _: usize,
                            _: *mut u8,
                            _: usize,
                            _: i32,
                            _: i32,
                        );
                    }
                    #[cfg(not(target_arch = "wasm32"))]
                    unsafe extern "C" fn wit_import5(
                        _: *mut u8,
                        _: usize,
                        _: i32,
                        _: *mut u8,
                        _: usize,
                        _: *mut u8,
                        _: usize,
                        _: i32,
                        _: i32,
                    ) {
                        unreachable!()
                    }
                    wit_import5(
                        ptr1.cast_mut(),
                        len1,
                        severity0.clone() as i32,
                        ptr2.cast_mut(),
                        len2,
                        ptr3.cast_mut(),
                        len3,
                        result4_0,
                        result4_1,
                    );
                }
            }
            #[allow(unused_unsafe, clippy::all)]
            /// Writes to the worker's log, once: not again when the run is repeated.
            #[allow(async_fn_in_trait)]
            pub fn log(level: Level, text: &str) -> () {
                unsafe {
                    let vec0 = text;
                    let ptr0 = vec0.as_ptr().cast::<u8>();
                    let len0 = vec0.len();
                    #[cfg(target_arch = "wasm32")]
                    #[link(wasm_import_module = "helve:workflow/durable@0.1.0")]
                    unsafe extern "C" {
                        #[link_name = "log"]
                        fn wit_import1(_: i32, _: *mut u8, _: usize);
                    }
                    #[cfg(not(target_arch = "wasm32"))]
                    unsafe extern "C" fn wit_import1(_: i32, _: *mut u8, _: usize) {
                        unreachable!()
                    }
                    wit_import1(level.clone() as i32, ptr0.cast_mut(), len0);
                }
            }
        }
    }
}
mod _rt {
    #![allow(dead_code, unused_imports, clippy::all)]
    pub use alloc_crate::string::String;
    use core::fmt;
    use core::marker;
    use core::sync::atomic::{AtomicU32, Ordering::Relaxed};
    /// A type which represents a component model resource, either imported or
    /// exported into this component.
    ///
    /// This is a low-level wrapper which handles the lifetime of the resource
    /// (namely this has a destructor). The `T` provided defines the component model
    /// intrinsics that this wrapper uses.
    ///
    /// One of the chief purposes of this type is to provide `Deref` implementations
    /// to access the underlying data when it is owned.
    ///
    /// This type is primarily used in generated code for exported and imported
    /// resources.
    #[repr(transparent)]
    pub struct Resource<T: WasmResource> {
        handle: AtomicU32,
        _marker: marker::PhantomData<T>,
    }
    /// A trait which all wasm resources implement, namely providing the ability to
    /// drop a resource.
    ///
    /// This generally is implemented by generated code, not user-facing code.
    #[allow(clippy::missing_safety_doc)]
    pub unsafe trait WasmResource {
        /// Invokes the `[resource-drop]...` intrinsic.
        unsafe fn drop(handle: u32);
    }
    impl<T: WasmResource> Resource<T> {
        #[doc(hidden)]
        pub unsafe fn from_handle(handle: u32) -> Self {
            debug_assert!(handle != 0 && handle != u32::MAX);
            Self {
                handle: AtomicU32::new(handle),
                _marker: marker::PhantomData,
            }
        }
        /// Takes ownership of the handle owned by `resource`.
        ///
        /// Note that this ideally would be `into_handle` taking `Resource<T>` by
        /// ownership. The code generator does not enable that in all situations,
        /// unfortunately, so this is provided instead.
        ///
        /// Also note that `take_handle` is in theory only ever called on values
        /// owned by a generated function. For example a generated function might
        /// take `Resource<T>` as an argument but then call `take_handle` on a
        /// reference to that argument. In that sense the dynamic nature of
        /// `take_handle` should only be exposed internally to generated code, not
        /// to user code.
        #[doc(hidden)]
        pub fn take_handle(resource: &Resource<T>) -> u32 {
            resource.handle.swap(u32::MAX, Relaxed)
        }
        #[doc(hidden)]
        pub fn handle(resource: &Resource<T>) -> u32 {
            resource.handle.load(Relaxed)
        }
    }
    impl<T: WasmResource> fmt::Debug for Resource<T> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.debug_struct("Resource").field("handle", &self.handle).finish()
        }
    }
    impl<T: WasmResource> Drop for Resource<T> {
        fn drop(&mut self) {
            unsafe {
                match self.handle.load(Relaxed) {
                    u32::MAX => {}
                    other => T::drop(other),
                }
            }
        }
    }
    pub use alloc_crate::vec::Vec;
    pub unsafe fn string_lift(bytes: Vec<u8>) -> String {
        if cfg!(debug_assertions) {
            String::from_utf8(bytes).unwrap()
        } else {
            unsafe { String::from_utf8_unchecked(bytes) }
        }
    }
    pub unsafe fn invalid_enum_discriminant<T>() -> T {
        if cfg!(debug_assertions) {
            panic!("invalid enum discriminant")
        } else {
            unsafe { core::hint::unreachable_unchecked() }
        }
    }
    pub unsafe fn bool_lift(val: u8) -> bool {
        if cfg!(debug_assertions) {
            match val {
                0 => false,
                1 => true,
                _ => panic!("invalid bool discriminant"),
            }
        } else {
            val != 0
        }
    }
    pub fn as_i64<T: AsI64>(t: T) -> i64 {
        t.as_i64()
    }
    pub trait AsI64 {
        fn as_i64(self) -> i64;
    }
    impl<'a, T: Copy + AsI64> AsI64 for &'a T {
        fn as_i64(self) -> i64 {
            (*self).as_i64()
        }
    }
    impl AsI64 for i64 {
        #[inline]
        fn as_i64(self) -> i64 {
            self as i64
        }
    }
    impl AsI64 for u64 {
        #[inline]
        fn as_i64(self) -> i64 {
            self as i64
        }
    }
    pub fn as_i32<T: AsI32>(t: T) -> i32 {
        t.as_i32()
    }
    pub trait AsI32 {
        fn as_i32(self) -> i32;
    }
    impl<'a, T: Copy + AsI32> AsI32 for &'a T {
        fn as_i32(self) -> i32 {
            (*self).as_i32()
        }
    }
    impl AsI32 for i32 {
        #[inline]
        fn as_i32(self) -> i32 {
            self as i32
        }
    }
    impl AsI32 for u32 {
        #[inline]
        fn as_i32(self) -> i32 {
            self as i32
        }
    }
    impl AsI32 for i16 {
        #[inline]
        fn as_i32(self) -> i32 {
            self as i32
        }
    }
    impl AsI32 for u16 {
        #[inline]
        fn as_i32(self) -> i32 {
            self as i32
        }
    }
    impl AsI32 for i8 {
        #[inline]
        fn as_i32(self) -> i32 {
            self as i32
        }
    }
    impl AsI32 for u8 {
        #[inline]
        fn as_i32(self) -> i32 {
            self as i32
        }
    }
    impl AsI32 for char {
        #[inline]
        fn as_i32(self) -> i32 {
            self as i32
        }
    }
    impl AsI32 for usize {
        #[inline]
        fn as_i32(self) -> i32 {
            self as i32
        }
    }
    pub fn as_f64<T: AsF64>(t: T) -> f64 {
        t.as_f64()
    }
    pub trait AsF64 {
        fn as_f64(self) -> f64;
    }
    impl<'a, T: Copy + AsF64> AsF64 for &'a T {
        fn as_f64(self) -> f64 {
            (*self).as_f64()
        }
    }
    impl AsF64 for f64 {
        #[inline]
        fn as_f64(self) -> f64 {
            self as f64
        }
    }
    pub use alloc_crate::alloc;
    #[cfg(target_arch = "wasm32")]
    pub fn run_ctors_once() {
        ::wit_bindgen::rt::run_ctors_once();
    }
    pub unsafe fn cabi_dealloc(ptr: *mut u8, size: usize, align: usize) {
        if size == 0 {
            return;
        }
        unsafe {
            let layout = alloc::Layout::from_size_align_unchecked(size, align);
            alloc::dealloc(ptr, layout);
        }
    }
    extern crate alloc as alloc_crate;
}
/// Generates `#[unsafe(no_mangle)]` functions to export the specified type as
/// the root implementation of all generated traits.
///
/// For more information see the documentation of `wit_bindgen::generate!`.
///
/// ```rust
/// # macro_rules! export_workflow{ ($($t:tt)*) => (); }
/// # trait Guest {}
/// struct MyType;
///
/// impl Guest for MyType {
///     // ...
/// }
///
/// export_workflow!(MyType);
/// ```
#[allow(unused_macros)]
#[doc(hidden)]
#[macro_export]
macro_rules! __export_workflow_impl {
    ($ty:ident) => {
        helve_guest::bindings::export_workflow!($ty with_types_in helve_guest::bindings);
    };
    ($ty:ident with_types_in $($path_to_types_root:tt)*) => {
        $($path_to_types_root)*:: __export_world_workflow_cabi!($ty with_types_in
        $($path_to_types_root)*); const _ : () = { #[cfg(target_arch = "wasm32")]
        #[unsafe (link_section =
        "component-type:wit-bindgen:0.61.1:helve:workflow@0.1.0:workflow:imports and exports")]
        #[doc(hidden)] #[allow(clippy::octal_escapes)] pub static
        __WIT_BINDGEN_COMPONENT_TYPE : [u8; 1491] = *
        b"\
\0asm\x0d\0\x01\0\0\x19\x16wit-component-encoding\x04\0\x07\xd4\x0a\x01A\x02\x01\
A\x10\x01B\x19\x01s\x04\0\x04json\x03\0\0\x01m\x03\x06failed\x09timed-out\x09can\
celled\x04\0\x0cfailure-kind\x03\0\x02\x01r\x02\x04kind\x03\x07messages\x04\0\x07\
failure\x03\0\x04\x01r\x02\x02ids\x04names\x04\0\x06target\x03\0\x06\x01k\x07\x01\
r\x03\x08workflows\x0aparameters\x01\x06target\x08\x04\0\x05input\x03\0\x09\x01r\
\x04\x0cmax-attemptsy\x13initial-interval-msw\x07backoffu\x0fmax-interval-msw\x04\
\0\x05retry\x03\0\x0b\x01ks\x01kw\x01k\x0c\x01r\x03\x08vertical\x0d\x0atimeout-m\
s\x0e\x05retry\x0f\x04\0\x0emodule-options\x03\0\x10\x01m\x05\x04note\x03low\x06\
medium\x04high\x08critical\x04\0\x08severity\x03\0\x12\x01ky\x01r\x05\x04rules\x08\
severity\x13\x07messages\x04paths\x04line\x14\x04\0\x07finding\x03\0\x15\x01m\x04\
\x05debug\x04info\x04warn\x05error\x04\0\x05level\x03\0\x17\x03\0\x1ahelve:workf\
low/types@0.1.0\x05\0\x02\x03\0\0\x04json\x02\x03\0\0\x07failure\x02\x03\0\0\x0e\
module-options\x02\x03\0\0\x07finding\x02\x03\0\0\x05level\x01B6\x02\x03\x02\x01\
\x01\x04\0\x04json\x03\0\0\x02\x03\x02\x01\x02\x04\0\x07failure\x03\0\x02\x02\x03\
\x02\x01\x03\x04\0\x0emodule-options\x03\0\x04\x02\x03\x02\x01\x04\x04\0\x07find\
ing\x03\0\x06\x02\x03\x02\x01\x05\x04\0\x05level\x03\0\x08\x04\0\x04task\x03\x01\
\x01h\x0a\x01j\x01\x01\x01\x03\x01@\x01\x04self\x0b\0\x0c\x04\0\x11[method]task.\
wait\x01\x0d\x01@\x01\x04self\x0b\0\x7f\x04\0\x14[method]task.is-done\x01\x0e\x01\
@\x01\x04self\x0b\x01\0\x04\0\x13[method]task.cancel\x01\x0f\x01i\x0a\x01@\x04\x04\
steps\x06modules\x06config\x01\x07options\x05\0\x10\x04\0\x0cstart-module\x01\x11\
\x01@\x01\x02msw\0\x10\x04\0\x0bstart-timer\x01\x12\x01ks\x01@\x03\x08workflows\x02\
id\x13\x0aparameters\x01\0\x10\x04\0\x0bstart-child\x01\x14\x01@\x01\x04names\0\x10\
\x04\0\x0bnext-signal\x01\x15\x01p\x0b\x01@\x01\x05tasks\x16\0y\x04\0\x08wait-an\
y\x01\x17\x01@\x01\x05tasks\x16\x01\0\x04\0\x08wait-all\x01\x18\x01@\x04\x04step\
s\x06modules\x06config\x01\x07options\x05\0\x0c\x04\0\x0bcall-module\x01\x19\x01\
j\0\x01\x03\x01@\x01\x02msw\0\x1a\x04\0\x05sleep\x01\x1b\x01@\x01\x04names\0\x0c\
\x04\0\x0bwait-signal\x01\x1c\x01@\0\0\x7f\x04\0\x0cis-cancelled\x01\x1d\x01@\0\0\
w\x04\0\x03now\x01\x1e\x04\0\x06random\x01\x1e\x01@\x01\x04texts\x01\0\x04\0\x0a\
set-status\x01\x1f\x01@\x02\x04donew\x05totalw\x01\0\x04\0\x0cset-progress\x01\x20\
\x01@\x01\x07finding\x07\x01\0\x04\0\x04emit\x01!\x01@\x02\x05level\x09\x04texts\
\x01\0\x04\0\x03log\x01\"\x03\0\x1chelve:workflow/durable@0.1.0\x05\x06\x03\0\x04\
json\x03\0\x01\x03\0\x07failure\x03\0\x02\x02\x03\0\0\x05input\x03\0\x05input\x03\
\0\x09\x01j\x01\x07\x01\x08\x01@\x01\x05input\x0a\0\x0b\x04\0\x03run\x01\x0c\x04\
\0\x1dhelve:workflow/workflow@0.1.0\x04\0\x0b\x0e\x01\0\x08workflow\x03\0\0\0G\x09\
producers\x01\x0cprocessed-by\x02\x0dwit-component\x070.258.3\x10wit-bindgen-rus\
t\x060.61.1";
        };
    };
}
#[doc(inline)]
pub use __export_workflow_impl as export_workflow;
#[cfg(target_arch = "wasm32")]
#[unsafe(link_section = "component-type:wit-bindgen:0.61.1:helve:workflow@0.1.0:workflow-with-all-of-its-exports-removed:encoded world")]
#[doc(hidden)]
#[allow(clippy::octal_escapes)]
pub static __WIT_BINDGEN_COMPONENT_TYPE: [u8; 1529] = *b"\
\0asm\x0d\0\x01\0\0\x19\x16wit-component-encoding\x04\0\x07\xda\x0a\x01A\x02\x01\
A\x0d\x01B\x19\x01s\x04\0\x04json\x03\0\0\x01m\x03\x06failed\x09timed-out\x09can\
celled\x04\0\x0cfailure-kind\x03\0\x02\x01r\x02\x04kind\x03\x07messages\x04\0\x07\
failure\x03\0\x04\x01r\x02\x02ids\x04names\x04\0\x06target\x03\0\x06\x01k\x07\x01\
r\x03\x08workflows\x0aparameters\x01\x06target\x08\x04\0\x05input\x03\0\x09\x01r\
\x04\x0cmax-attemptsy\x13initial-interval-msw\x07backoffu\x0fmax-interval-msw\x04\
\0\x05retry\x03\0\x0b\x01ks\x01kw\x01k\x0c\x01r\x03\x08vertical\x0d\x0atimeout-m\
s\x0e\x05retry\x0f\x04\0\x0emodule-options\x03\0\x10\x01m\x05\x04note\x03low\x06\
medium\x04high\x08critical\x04\0\x08severity\x03\0\x12\x01ky\x01r\x05\x04rules\x08\
severity\x13\x07messages\x04paths\x04line\x14\x04\0\x07finding\x03\0\x15\x01m\x04\
\x05debug\x04info\x04warn\x05error\x04\0\x05level\x03\0\x17\x03\0\x1ahelve:workf\
low/types@0.1.0\x05\0\x02\x03\0\0\x04json\x02\x03\0\0\x07failure\x02\x03\0\0\x0e\
module-options\x02\x03\0\0\x07finding\x02\x03\0\0\x05level\x01B6\x02\x03\x02\x01\
\x01\x04\0\x04json\x03\0\0\x02\x03\x02\x01\x02\x04\0\x07failure\x03\0\x02\x02\x03\
\x02\x01\x03\x04\0\x0emodule-options\x03\0\x04\x02\x03\x02\x01\x04\x04\0\x07find\
ing\x03\0\x06\x02\x03\x02\x01\x05\x04\0\x05level\x03\0\x08\x04\0\x04task\x03\x01\
\x01h\x0a\x01j\x01\x01\x01\x03\x01@\x01\x04self\x0b\0\x0c\x04\0\x11[method]task.\
wait\x01\x0d\x01@\x01\x04self\x0b\0\x7f\x04\0\x14[method]task.is-done\x01\x0e\x01\
@\x01\x04self\x0b\x01\0\x04\0\x13[method]task.cancel\x01\x0f\x01i\x0a\x01@\x04\x04\
steps\x06modules\x06config\x01\x07options\x05\0\x10\x04\0\x0cstart-module\x01\x11\
\x01@\x01\x02msw\0\x10\x04\0\x0bstart-timer\x01\x12\x01ks\x01@\x03\x08workflows\x02\
id\x13\x0aparameters\x01\0\x10\x04\0\x0bstart-child\x01\x14\x01@\x01\x04names\0\x10\
\x04\0\x0bnext-signal\x01\x15\x01p\x0b\x01@\x01\x05tasks\x16\0y\x04\0\x08wait-an\
y\x01\x17\x01@\x01\x05tasks\x16\x01\0\x04\0\x08wait-all\x01\x18\x01@\x04\x04step\
s\x06modules\x06config\x01\x07options\x05\0\x0c\x04\0\x0bcall-module\x01\x19\x01\
j\0\x01\x03\x01@\x01\x02msw\0\x1a\x04\0\x05sleep\x01\x1b\x01@\x01\x04names\0\x0c\
\x04\0\x0bwait-signal\x01\x1c\x01@\0\0\x7f\x04\0\x0cis-cancelled\x01\x1d\x01@\0\0\
w\x04\0\x03now\x01\x1e\x04\0\x06random\x01\x1e\x01@\x01\x04texts\x01\0\x04\0\x0a\
set-status\x01\x1f\x01@\x02\x04donew\x05totalw\x01\0\x04\0\x0cset-progress\x01\x20\
\x01@\x01\x07finding\x07\x01\0\x04\0\x04emit\x01!\x01@\x02\x05level\x09\x04texts\
\x01\0\x04\0\x03log\x01\"\x03\0\x1chelve:workflow/durable@0.1.0\x05\x06\x03\0\x04\
json\x03\0\x01\x03\0\x07failure\x03\0\x02\x02\x03\0\0\x05input\x03\0\x05input\x03\
\0\x09\x04\0=helve:workflow/workflow-with-all-of-its-exports-removed@0.1.0\x04\0\
\x0b.\x01\0(workflow-with-all-of-its-exports-removed\x03\0\0\0G\x09producers\x01\
\x0cprocessed-by\x02\x0dwit-component\x070.258.3\x10wit-bindgen-rust\x060.61.1";
#[inline(never)]
#[doc(hidden)]
pub fn __link_custom_section_describing_imports() {
    ::wit_bindgen::rt::maybe_link_cabi_realloc();
}
