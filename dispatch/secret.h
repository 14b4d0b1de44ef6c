/* Secrets: tokens and passwords, and what of them may be stored. Pure but for random bytes.
 *
 * A token is "tgs_" (a session's) or "tgt_" (a lasting one) and 32 random bytes in base64url. Only
 * its BLAKE2b-256 is stored: the secret has 256 bits of its own, so no slow hash is needed.
 * Passwords are argon2id, 3 passes over 19 MiB. */
#ifndef TG_DISPATCH_SECRET_H
#define TG_DISPATCH_SECRET_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

#define TG_TOKEN_SIZE        48 /* with NUL */
#define TG_TOKEN_HASH_BYTES  32
#define TG_CSRF_SIZE         33
#define TG_PASSWORD_HASH_MAX 128
#define TG_PASSWORD_MIN      8
#define TG_PASSWORD_MAX      1024

TG_MUST int tg_secret_init(void); /* before anything else here; safe to repeat */

void tg_token_make(bool session, char out[TG_TOKEN_SIZE]);
void tg_token_hash(struct tg_slice token, uint8_t out[TG_TOKEN_HASH_BYTES]);
/* PostgreSQL's text for a bytea: "\x…". */
void tg_token_hash_text(
	const uint8_t hash[TG_TOKEN_HASH_BYTES], char out[2 * TG_TOKEN_HASH_BYTES + 3]);
/* The CSRF value that goes with a session: a function of its token, so there is nothing to store,
 * and who does not hold the token cannot know it. */
void tg_token_csrf(struct tg_slice token, char out[TG_CSRF_SIZE]);
bool tg_csrf_equal(struct tg_slice given, const char *expected); /* in constant time */

/* Both take some 30 ms and 19 MiB: off the loop. -TG_ENOMEM. */
TG_MUST int tg_password_hash(struct tg_slice password, char out[TG_PASSWORD_HASH_MAX]);
bool tg_password_verify(struct tg_slice password, const char *hash);

#endif
