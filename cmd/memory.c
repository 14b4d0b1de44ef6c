/* What the allocator keeps in hand: two arenas, for the loop and for Kafka's threads; a thread's
 * own store of blocks up to 64 KiB, so that what a request or a batch takes and gives back is not
 * mapped anew each time; and memory given back a second after its last use. Builds under sanitizers
 * have their own allocator and do not read this. */
extern const char *malloc_conf;
const char *malloc_conf = "narenas:2,tcache_max:65536,dirty_decay_ms:1000,muzzy_decay_ms:0";
