/* What the allocator keeps in hand: two arenas, for the loop and for Kafka's threads, and memory
 * given back a second after its last use. Builds under sanitizers have their own allocator and do
 * not read this. */
extern const char *malloc_conf;
const char *malloc_conf = "narenas:2,tcache_max:4096,dirty_decay_ms:1000,muzzy_decay_ms:0";
