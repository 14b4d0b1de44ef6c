/* CRC-32C (Castagnoli; RFC 3720 appendix B.4), the checksum of Kafka's record batches. */
#ifndef TG_BASE_CRC32C_H
#define TG_BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* Of "123456789" it is e3069283. Uses the processor's own instruction where there is one. */
uint32_t tg_crc32c(const void *data, size_t len);

#endif
