// The gate between an interpreter and JavaScript. WebAssembly can do nothing but call its imports: here every import is replaced by one that,
// once the gate is closed, serves what a program needs (its streams, clocks, memory up to a limit, reading Python's own library) and refuses all
// else. Whatever a program does inside (js, ctypes, forged objects), it comes out here or nowhere.
import { CALLS, CHANNEL } from "./python.ts";
import { Stop, Streams } from "./streams.ts";

type Import = (...args: number[]) => number;
type Imports = Record<string, Import | object>;

export interface Gate {
  close(): void;
  streams: Streams;
}

/** What becomes available only when the instance does. */
export interface Inside {
  memory(): WebAssembly.Memory;
  /** Whether a file descriptor is a regular file or a folder. */
  isPlain(fd: number): boolean;
}

/** Replaces every function in `imports`, in place. */
export function installGate(imports: Imports, inside: Inside, memoryLimit: number): Gate {
  const gate = { closed: false, streams: new Streams() };
  const opened = new Set<number>(); // files of Python's library that the program has open
  const served = servedImports(() => gate.streams, inside, memoryLimit, imports as Record<string, Import>, opened);
  for (const [name, original] of Object.entries(imports)) {
    if (typeof original !== "function") {
      imports[name] = () => refuse(name); // a WebAssembly.Suspending: stack switching is not used
      continue;
    }
    const handler = served[name] ?? (PASSED.has(name) ? (original as Import) : (DENIED[name] ?? refused(name)));
    const gated = (...args: number[]) => (gate.closed ? handler(...args) : (original as Import)(...args));
    imports[name] = Object.assign(gated, original); // they carry a signature, for the function table
  }
  return {
    get streams() {
      return gate.streams;
    },
    set streams(streams) {
      for (const fd of opened) (imports.fd_close as Import)(fd);
      gate.streams = streams;
    },
    close: () => {
      gate.closed = true;
    },
  };
}

// --- internal ---

const EACCES = 2;
const EBADF = 8;
const ESPIPE = 70;
const EROFS = 69;
const ENOSYS = 52;
const EPERM = 63;
const O_ACCMODE = 3;
const O_CREAT = 0o100;
const O_TRUNC = 0o1000;

/** A program's own names for its streams; nobody reads the errors, so that they do for the void. */
const STREAM_PATHS: Record<string, number | undefined> = {
  "/dev/stdin": 0,
  "/dev/fd/0": 0,
  "/proc/self/fd/0": 0,
  "/dev/stdout": 1,
  "/dev/stderr": 2,
  "/dev/null": 2,
};

/** They read clocks, the environment (the sandbox's own, a few fixed names) and the read-only tree of Python's library, and keep no state. */
const PASSED = new Set(
  `clock_time_get clock_res_get emscripten_get_now emscripten_date_now _tzset_js _localtime_js _gmtime_js _mktime_js _timegm_js environ_get
  environ_sizes_get emscripten_get_heap_max emscripten_get_progname __syscall_getcwd __syscall_stat64 __syscall_lstat64 __syscall_newfstatat
  __syscall_fstat64 __syscall_faccessat __syscall_readlinkat __syscall_getdents64`.split(/\s+/),
);

const deny = (names: string, result: number) => Object.fromEntries(names.split(/\s+/).map((name) => [name, () => result]));

/** Refused with an error that Python turns into an OSError, so that a program can go on; all others end it. */
const DENIED: Record<string, Import> = {
  ...deny(
    `__syscall_chdir __syscall_chmod __syscall_fchownat __syscall_fchdir __syscall_fchmod __syscall_fchmodat2 __syscall_fchown32 __syscall_fdatasync
    __syscall_ftruncate64 __syscall_mkdirat __syscall_mknodat __syscall_unlinkat __syscall_rmdir __syscall_renameat __syscall_symlinkat
    __syscall_truncate64 __syscall_utimensat __syscall_fallocate`,
    -EROFS,
  ),
  ...deny(
    `__syscall_dup __syscall_dup3 __syscall_fcntl64 __syscall_ioctl __syscall_pipe __syscall_poll __syscall_fadvise64 __syscall_statfs64
    __syscall_fstatfs64 __syscall_accept4 __syscall_bind __syscall_connect __syscall_getpeername __syscall_getsockname __syscall_getsockopt
    __syscall_listen __syscall_recvfrom __syscall_recvmsg __syscall_sendmsg __syscall_sendto __syscall_socket _mmap_js _munmap_js _msync_js
    _setitimer_js`,
    -ENOSYS,
  ),
  ...deny("_emscripten_system _dlopen_js _dlsym_js getaddrinfo getnameinfo", -1),
  ...deny("fd_sync fd_pwrite", EPERM),
  ...deny(
    "can_run_sync_js _Py_CheckEmscriptenSignals_Helper emscripten_runtime_keepalive_push emscripten_runtime_keepalive_pop getprotobyname __syscall_getuid32_js __syscall_umask_js",
    0,
  ),
};

const refuse = (name: string): never => {
  throw new Stop(`The program reached for ${name}, which is outside the sandbox.`, false);
};
const refused = (name: string) => () => refuse(name);

/** The imports with a meaning of their own while the gate is closed. */
function servedImports(
  streams: () => Streams,
  { memory, isPlain }: Inside,
  memoryLimit: number,
  originals: Readonly<Record<string, Import>>,
  opened: Set<number>,
): Record<string, Import> {
  const { __syscall_openat, fd_read, fd_close, fd_seek, fd_pread, fd_fdstat_get, emscripten_resize_heap } = originals;
  const view = () => new DataView(memory().buffer);
  const onOpened = (original: Import, otherwise: number): Import => {
    return (fd, ...rest) => (opened.has(fd) ? original(fd, ...rest) : otherwise);
  };
  return {
    fd_write: (fd, iov, count, written) => {
      const parts = buffers(memory(), iov, count);
      for (const part of parts) write(streams(), fd, part);
      view().setUint32(written, sizeOf(parts), true);
      return fd === 1 || fd === 2 || fd === CHANNEL || fd === CALLS ? 0 : EBADF;
    },
    fd_read: (fd, iov, count, read) => {
      if (opened.has(fd)) return fd_read(fd, iov, count, read);
      if (fd !== 0 && fd !== CHANNEL && fd !== CALLS) return EBADF;
      let total = 0;
      for (const part of buffers(memory(), iov, count)) total += take(streams(), fd, part);
      view().setUint32(read, total, true);
      return 0;
    },
    __syscall_openat: (dir, path, flags, mode) => {
      const stream = STREAM_PATHS[textAt(memory(), path)];
      if (stream !== undefined) return stream;
      if ((flags & O_ACCMODE) !== 0 || (flags & (O_CREAT | O_TRUNC)) !== 0) return -EROFS;
      const fd = __syscall_openat(dir, path, flags, mode);
      if (fd < 0) return fd;
      opened.add(fd);
      if (isPlain(fd)) return fd;
      opened.delete(fd); // a device: behind it is JavaScript
      fd_close(fd);
      return -EACCES;
    },
    fd_close: (fd) => {
      if (!opened.delete(fd)) return fd <= 2 ? 0 : EBADF;
      return fd_close(fd);
    },
    fd_seek: onOpened(fd_seek, ESPIPE),
    fd_pread: onOpened(fd_pread, ESPIPE),
    fd_fdstat_get: (fd, at) => (fd <= 2 || opened.has(fd) ? fd_fdstat_get(fd, at) : EBADF),
    random_get: (at, size) => {
      const bytes = new Uint8Array(memory().buffer, at, size);
      for (let i = 0; i < size; i++) bytes[i] = nextRandom(streams());
      return 0;
    },
    emscripten_resize_heap: (size) => (size >>> 0 > memoryLimit ? 0 : emscripten_resize_heap(size)),
    proc_exit: (code) => {
      throw new Stop(`The program ended itself (exit code ${code}).`, true);
    },
    exit: (code) => {
      throw new Stop(`The program ended itself (exit code ${code}).`, true);
    },
  };
}

function buffers(memory: WebAssembly.Memory, iov: number, count: number): Uint8Array[] {
  if (count > 1024) throw new Stop("The program forged a system call.", false);
  const view = new DataView(memory.buffer);
  return Array.from({ length: count }, (_, i) => new Uint8Array(memory.buffer, view.getUint32(iov + 8 * i, true), view.getUint32(iov + 8 * i + 4, true)));
}

function textAt(memory: WebAssembly.Memory, at: number): string {
  const bytes = new Uint8Array(memory.buffer, at, 32);
  const end = bytes.indexOf(0);
  return end < 0 ? "" : String.fromCharCode(...bytes.subarray(0, end));
}

const sizeOf = (parts: readonly Uint8Array[]) => parts.reduce((sum, part) => sum + part.length, 0);

function write(streams: Streams, fd: number, part: Uint8Array): void {
  if (fd === 1) streams.stdout?.write(part);
  else if (fd === CHANNEL) streams.outbox.write(part);
  else if (fd === CALLS) streams.request.write(part);
}

/** Moves bytes to `into`; 0 at the end of what there is. On CALLS the first read sends what was written, and the end is told once. */
function take(streams: Streams, fd: number, into: Uint8Array): number {
  if (fd === CALLS) {
    if (!streams.reply) {
      if (!streams.call) return 0;
      streams.reply = streams.call(streams.request.take());
    }
    const bytes = streams.reply.subarray(0, into.length);
    into.set(bytes);
    streams.reply = bytes.length === 0 ? undefined : streams.reply.subarray(bytes.length);
    return bytes.length;
  }
  const source = fd === 0 ? streams.stdin : streams.inbox;
  const bytes = source.subarray(0, into.length);
  into.set(bytes);
  if (fd === 0) streams.stdin = source.subarray(bytes.length);
  else streams.inbox = source.subarray(bytes.length);
  return bytes.length;
}

/** One byte of a 32-bit xorshift: not secret, only spread out. */
function nextRandom(streams: Streams): number {
  let x = streams.random;
  x ^= x << 13;
  x ^= x >>> 17;
  x ^= x << 5;
  streams.random = x;
  return (x >>> 8) & 255;
}
