#include "dispatch/secret.h"

#include <sodium.h>
#include <string.h>

#define SECRET_BYTES 32
#define ARGON_PASSES 3
#define ARGON_BYTES  ((size_t)19 << 20)
#define BASE64       sodium_base64_VARIANT_URLSAFE_NO_PADDING
#define CSRF_BYTES   16
#define CSRF_KEY     "tongguan csrf value of a session"

_Static_assert(sizeof(CSRF_KEY) - 1 == 32, "a BLAKE2b key of 32 bytes");
_Static_assert(TG_TOKEN_HASH_BYTES == crypto_generichash_BYTES, "BLAKE2b-256");
_Static_assert(TG_PASSWORD_HASH_MAX >= crypto_pwhash_STRBYTES, "room for libsodium's text form");
_Static_assert(TG_CSRF_SIZE == 2 * CSRF_BYTES + 1, "hex and NUL");

int tg_secret_init(void)
{
	return sodium_init() < 0 ? -TG_ESYS : 0;
}

void tg_token_make(bool session, char out[TG_TOKEN_SIZE])
{
	unsigned char secret[SECRET_BYTES];

	randombytes_buf(secret, sizeof(secret));
	memcpy(out, session ? "tgs_" : "tgt_", 4);
	sodium_bin2base64(out + 4, TG_TOKEN_SIZE - 4, secret, sizeof(secret), BASE64);
	sodium_memzero(secret, sizeof(secret));
}

void tg_token_hash(struct tg_slice token, uint8_t out[TG_TOKEN_HASH_BYTES])
{
	crypto_generichash(
		out, TG_TOKEN_HASH_BYTES, (const unsigned char *)token.data, token.len, NULL, 0);
}

void tg_token_hash_text(
	const uint8_t hash[TG_TOKEN_HASH_BYTES], char out[2 * TG_TOKEN_HASH_BYTES + 3])
{
	memcpy(out, "\\x", 2);
	tg_hex(hash, TG_TOKEN_HASH_BYTES, out + 2);
}

void tg_token_csrf(struct tg_slice token, char out[TG_CSRF_SIZE])
{
	uint8_t value[CSRF_BYTES];

	crypto_generichash(value, sizeof(value), (const unsigned char *)token.data, token.len,
		(const unsigned char *)CSRF_KEY, sizeof(CSRF_KEY) - 1);
	tg_hex(value, sizeof(value), out);
}

bool tg_csrf_equal(struct tg_slice given, const char *expected)
{
	return given.len == TG_CSRF_SIZE - 1 && sodium_memcmp(given.data, expected, given.len) == 0;
}

int tg_password_hash(struct tg_slice password, char out[TG_PASSWORD_HASH_MAX])
{
	/* argon2id by name: libsodium's default algorithm may change, what is stored must not */
	if (crypto_pwhash_str_alg(out, password.data, password.len, ARGON_PASSES, ARGON_BYTES,
		    crypto_pwhash_ALG_ARGON2ID13))
		return -TG_ENOMEM;
	return 0;
}

bool tg_password_verify(struct tg_slice password, const char *hash)
{
	return crypto_pwhash_str_verify(hash, password.data, password.len) == 0;
}
