/* faultvfs.h - a disk for SQLite that fails on demand, and a power switch.
 *
 * Between SQLite and its own VFS: everything really happens in real files, but the nth write, sync, open, truncation or
 * deletion can fail or lie, and of one directory's files it is known which bytes were synced. faultvfs_cut builds, in another
 * directory, what a machine may find there after its power was cut.
 *
 * What a cut leaves
 *	Of a file: what was there at its last sync; of what was written since, any sectors of 512 bytes, each by the seed; of
 *	changes of its length, any. (A sector written twice has its old, its middle or its new content.)
 *	Of the directory: what was there when it was last synced; of names made or removed since, any. What is made and removed
 *	without SQLite (the spool's own marks) is seen in the directory itself; its fsync is taken over by this file, as is
 *	fallocate, with which the spool takes room past SQLite.
 * Threads: one. Use: faultvfs_install before the first spool_open; everything that is opened later goes through it.
 */
#ifndef SPILLWAY_TESTS_FAULTVFS_H
#define SPILLWAY_TESTS_FAULTVFS_H

#include <stdbool.h>
#include <stdint.h>

enum fault_call { FAULT_WRITE, FAULT_SYNC, FAULT_OPEN, FAULT_TRUNCATE, FAULT_DELETE, FAULT_CALLS };
/* FAULT_SHORT: half of a write is done, then the disk is full. FAULT_LIE: nothing is done, success is reported. */
enum fault_how { FAULT_EIO, FAULT_ENOSPC, FAULT_SHORT, FAULT_LIE };

/* Becomes the process's default VFS. */
void faultvfs_install(void);
/* The nth call from now fails; sticky: and all after it. n = 0: nothing fails any more. */
void faultvfs_fail(enum fault_call call, long n, enum fault_how how, bool sticky);
/* Whether the fault has happened since faultvfs_fail. */
bool faultvfs_happened(void);
/* fn is called before each sync of a file or of the directory that is recorded; NULL: not any more. */
void faultvfs_before_sync(void (*fn)(void *arg), void *arg);

/* From now on this directory's files are recorded; what is there counts as synced. */
void faultvfs_record(const char *dir);
void faultvfs_record_end(void);
/* Makes directory `to` and what a cut now may leave in it. */
void faultvfs_cut(const char *to, uint64_t seed);

#endif
