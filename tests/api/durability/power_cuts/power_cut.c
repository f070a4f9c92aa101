/* A disk that loses power: preloaded into the server, it records what happens to the files of a database.
 *
 * POWER_CUT_DIR   the directory of the database
 * POWER_CUT_FILES the beginning of the names of its files
 * POWER_CUT_LOG   the file of the record, which disk.rs reads
 * POWER_CUT_AT    the number of the operation at which the process ends, as if the power failed
 * POWER_CUT_OF    the file whose operations count; by default, all do
 * POWER_CUT_LIES  set if the disk confirms synchronization without doing it
 *
 * Operations are recorded in the order in which they take effect. An entry is a header of five 64-bit numbers (kind, inode,
 * number, sequence, length) and a content. Nothing is synchronized: the machine goes on, and the record tells what would be lost.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { MAX_FILES = 65536, SYNC_NANOSECONDS = 500000 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct stat directory;
static const char *prefix;
static int record_file = -1, lies;
static uint64_t sequence, counted, counted_inode, cut_at;
/* The inode of each open file of the directory, and of the directory itself; 0 for any other file. */
static uint64_t inodes[MAX_FILES];

static void start(void) {
    const char *path = getenv("POWER_CUT_DIR"), *record = getenv("POWER_CUT_LOG"), *at = getenv("POWER_CUT_AT");
    const char *of = getenv("POWER_CUT_OF");
    struct stat counted_file;
    prefix = getenv("POWER_CUT_FILES");
    if (!path || !prefix || !record || syscall(SYS_newfstatat, AT_FDCWD, path, &directory, 0)) return;
    if (of && !syscall(SYS_newfstatat, AT_FDCWD, of, &counted_file, 0)) counted_inode = counted_file.st_ino;
    cut_at = at ? strtoull(at, NULL, 10) : 0;
    lies = getenv("POWER_CUT_LIES") != NULL;
    record_file = syscall(SYS_openat, AT_FDCWD, record, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static void begin(void) {
    pthread_mutex_lock(&lock);
}

/* Counts an operation, and ends the process at the last one. */
static void end(uint64_t inode) {
    ++sequence;
    if ((!counted_inode || inode == counted_inode) && ++counted == cut_at) {
        syscall(SYS_kill, getpid(), SIGKILL);
        for (;;) pause();
    }
    int error = errno;
    pthread_mutex_unlock(&lock);
    errno = error;
}

static void leave(void) {
    int error = errno;
    pthread_mutex_unlock(&lock);
    errno = error;
}

static void record(char kind, uint64_t inode, uint64_t number, const void *content, size_t length) {
    uint64_t header[5] = {(uint64_t)kind, inode, number, sequence, length};
    struct iovec parts[2] = {{header, sizeof header}, {(void *)content, length}};
    int error = errno;
    if (syscall(SYS_writev, record_file, parts, 2) != (ssize_t)(sizeof header + length)) abort();
    errno = error;
}

/* The name of a path if it is a file of the database. The index of SQLite's log is in memory only. */
static const char *name_in_directory(int dir, const char *path) {
    pthread_once(&once, start);
    if (record_file < 0) return NULL;
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    char parent[4096] = ".";
    size_t length = slash ? (size_t)(slash - path) + 1 : 0;
    if (length >= sizeof parent) return NULL;
    if (slash) memcpy(parent, path, length), parent[length] = 0;
    struct stat found;
    int error = errno, missing = syscall(SYS_newfstatat, dir, parent, &found, 0);
    errno = error;
    if (missing || found.st_ino != directory.st_ino || found.st_dev != directory.st_dev) return NULL;
    if (strncmp(name, prefix, strlen(prefix))) return NULL;
    length = strlen(name);
    if (length >= 4 && !strcmp(name + length - 4, "-shm")) return NULL;
    return name;
}

static uint64_t inode_of(int file) {
    return file >= 0 && file < MAX_FILES ? inodes[file] : 0;
}

static int open_file(int dir, const char *path, int flags, mode_t mode) {
    const char *name = name_in_directory(dir, path);
    if (name) begin();
    struct stat before, after;
    int existed = !name || !syscall(SYS_newfstatat, dir, path, &before, AT_SYMLINK_NOFOLLOW);
    int file = syscall(SYS_openat, dir, path, flags, mode);
    int error = errno;
    if (file >= 0 && file < MAX_FILES) {
        inodes[file] = 0;
        if (record_file >= 0 && !syscall(SYS_fstat, file, &after) && after.st_dev == directory.st_dev &&
            (name || after.st_ino == directory.st_ino))
            inodes[file] = after.st_ino;
    }
    errno = error;
    if (!name) return file;
    if (file >= 0 && !existed) return record('C', after.st_ino, 0, name, strlen(name)), end(after.st_ino), file;
    if (file >= 0 && flags & O_TRUNC) return record('T', after.st_ino, 0, NULL, 0), end(after.st_ino), file;
    return leave(), file;
}

static mode_t mode_of(int flags, va_list arguments) {
    return flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(arguments, mode_t) : 0;
}

#define OPEN(NAME) \
    int NAME(const char *path, int flags, ...) { \
        va_list arguments; \
        va_start(arguments, flags); \
        mode_t mode = mode_of(flags, arguments); \
        va_end(arguments); \
        return open_file(AT_FDCWD, path, flags, mode); \
    }
#define OPENAT(NAME) \
    int NAME(int dir, const char *path, int flags, ...) { \
        va_list arguments; \
        va_start(arguments, flags); \
        mode_t mode = mode_of(flags, arguments); \
        va_end(arguments); \
        return open_file(dir, path, flags, mode); \
    }
OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)

int close(int file) {
    if (file >= 0 && file < MAX_FILES) inodes[file] = 0;
    return syscall(SYS_close, file);
}

static ssize_t write_at(int file, const void *content, size_t length, off_t offset) {
    begin();
    ssize_t written = syscall(SYS_pwrite64, file, content, length, offset);
    if (written > 0) return record('W', inode_of(file), offset, content, written), end(inode_of(file)), written;
    return leave(), written;
}

ssize_t pwrite64(int file, const void *content, size_t length, off_t offset) {
    return inode_of(file) ? write_at(file, content, length, offset) : syscall(SYS_pwrite64, file, content, length, offset);
}

ssize_t pwrite(int file, const void *content, size_t length, off_t offset) {
    return pwrite64(file, content, length, offset);
}

ssize_t write(int file, const void *content, size_t length) {
    if (!inode_of(file)) return syscall(SYS_write, file, content, length);
    off_t offset = syscall(SYS_lseek, file, 0, SEEK_CUR);
    ssize_t written = write_at(file, content, length, offset);
    if (written > 0) syscall(SYS_lseek, file, offset + written, SEEK_SET);
    return written;
}

int ftruncate64(int file, off_t length) {
    if (!inode_of(file)) return syscall(SYS_ftruncate, file, length);
    begin();
    int failed = syscall(SYS_ftruncate, file, length);
    if (!failed) return record('T', inode_of(file), length, NULL, 0), end(inode_of(file)), 0;
    return leave(), failed;
}

int ftruncate(int file, off_t length) {
    return ftruncate64(file, length);
}

/* Makes durable what happened before it began. The power may fail before it has ended. */
int fsync(int file) {
    uint64_t inode = inode_of(file);
    if (!inode || lies) return 0;
    begin();
    uint64_t began = sequence;
    end(inode);
    nanosleep(&(struct timespec){0, SYNC_NANOSECONDS}, NULL);
    begin();
    record('S', inode, began, NULL, 0);
    return end(inode), 0;
}

int fdatasync(int file) {
    return fsync(file);
}

int unlinkat(int dir, const char *path, int flags) {
    const char *name = name_in_directory(dir, path);
    if (!name) return syscall(SYS_unlinkat, dir, path, flags);
    begin();
    int failed = syscall(SYS_unlinkat, dir, path, flags);
    if (!failed) return record('U', 0, 0, name, strlen(name)), end(0), 0;
    return leave(), failed;
}

int unlink(const char *path) {
    return unlinkat(AT_FDCWD, path, 0);
}
