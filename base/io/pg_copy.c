/* Feeding COPY … FROM STDIN. PQputCopyData buffers without limit and never says "full": PQflush()
 * == 1 is the only back-pressure there is, so we stop at once when it says so and go on when the
 * socket can be written. */
#include "base/io/pg_impl.h"

#define COPY_CHUNK_BYTES (64 << 10)
#define COPY_TURN_BYTES  (1 << 20) /* then other handles of the loop get their turn */

int pg_feed(struct tg_pg *pg)
{
	struct pg_request *req = pg->copying;
	size_t stop;
	int left = PQflush(pg->conn);

	if (!req || left)
		return left;
	stop = req->data->len - req->data_pos;
	stop = req->data_pos + (stop < COPY_TURN_BYTES ? stop : COPY_TURN_BYTES);
	while (left == 0 && req->data_pos < stop) {
		size_t n = stop - req->data_pos;

		if (n > COPY_CHUNK_BYTES)
			n = COPY_CHUNK_BYTES;
		if (PQputCopyData(pg->conn, req->data->data + req->data_pos, (int)n) != 1)
			return -1;
		req->data_pos += n;
		left = PQflush(pg->conn);
	}
	if (left < 0 || req->data_pos < req->data->len)
		return left;
	if (PQputCopyEnd(pg->conn, NULL) != 1)
		return -1;
	pg->copying = NULL;
	/* Its results are read like any other's from here on, and a refusal may lie in libpq's
	 * buffer already: the socket would not announce it again. */
	pg_kick(pg);
	return PQflush(pg->conn);
}
