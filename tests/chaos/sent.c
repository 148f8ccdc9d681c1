/* Notes what a sender sends to its receiver by TLS, in the process that this is preloaded into: its
 * claims and its counts, at the instant at which they are given to OpenSSL. The sender knows nothing
 * of it.
 *
 * Appends a line to /var/lib/chaos/sent for each: seconds of CLOCK_MONOTONIC, process, the begin of
 * the Socket.IO packet. A websocket client sends a frame by one call of SSL_write_ex().
 *
 *     cc -shared -fPIC -O2 -o sent.so sent.c
 */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { SHOWN = 400 };

typedef int write_function(void *, const void *, size_t, size_t *);

/* What a frame of text carries, unmasked (RFC 6455, 5.2); 0 if it is something else. */
static size_t text_of(const uint8_t *frame, size_t size, char *text)
{
    if (size < 6 || frame[0] != 0x81 || !(frame[1] & 0x80))
        return 0;
    size_t length = frame[1] & 0x7f, at = 2;
    if (length == 126) {
        length = (size_t)frame[2] << 8 | frame[3];
        at = 4;
    }
    const uint8_t *mask = frame + at;
    at += 4;
    if (length > SHOWN)
        length = SHOWN;
    if (at + length > size)
        return 0;
    for (size_t i = 0; i < length; i++)
        text[i] = frame[at + i] ^ mask[i % 4];
    return length;
}

static void note(const void *data, size_t size)
{
    char text[SHOWN], line[SHOWN + 100];
    size_t length = text_of(data, size, text);
    /* "40": a claim. "42": an event. */
    if (length < 2 || text[0] != '4' || (text[1] != '0' && text[1] != '2'))
        return;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    int written = snprintf(line, sizeof line, "%lld.%06ld %d %.*s\n", (long long)now.tv_sec,
                           now.tv_nsec / 1000, (int)getpid(), (int)length, text);
    int file = open("/var/lib/chaos/sent", O_WRONLY | O_APPEND | O_CLOEXEC);
    if (file < 0)
        return;
    if (write(file, line, (size_t)written) != written)
        dprintf(2, "sent.so: a line is not complete\n");
    close(file);
}

int SSL_write_ex(void *connection, const void *data, size_t size, size_t *written)
{
    static write_function *real;
    if (!real) {
        void *library = dlopen("libssl.so.3", RTLD_LAZY | RTLD_NOLOAD);
        real = library ? (write_function *)dlsym(library, "SSL_write_ex") : NULL;
        if (!real)
            return 0;
    }
    note(data, size);
    return real(connection, data, size, written);
}
