use std::{
    ffi::{CStr, c_char, c_int, c_void},
    ptr,
};

/// jemalloc's own call for everything; DuckDB carries a jemalloc under this name, where its build has one.
type Control = unsafe extern "C" fn(*const c_char, *mut c_void, *mut usize, *mut c_void, usize) -> c_int;

const CONTROL: &CStr = c"duckdb_je_mallctl";

/// "All arenas" (4096) is jemalloc's constant `MALLCTL_ARENAS_ALL`.
const PURGE: &CStr = c"arena.4096.purge";

/// Gives memory that is not in use back to the operating system: that of DuckDB's allocator and that of
/// the C library. What is in use is not touched.
pub(crate) fn give_back() {
    // SAFETY: looks a name up among the loaded libraries; null where there is none.
    let control = unsafe { libc::dlsym(libc::RTLD_DEFAULT, CONTROL.as_ptr()) };
    if !control.is_null() {
        // SAFETY: the symbol is jemalloc's `mallctl`, whose signature this is; purging takes and gives
        // nothing, and may be done from any thread at any time.
        unsafe {
            let control: Control = std::mem::transmute::<*mut c_void, Control>(control);
            control(PURGE.as_ptr(), ptr::null_mut(), ptr::null_mut(), ptr::null_mut(), 0);
        }
    }
    // SAFETY: may be called from any thread at any time.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::malloc_trim(0);
    }
}
