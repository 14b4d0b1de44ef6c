/* What must be settled before anything starts: folders, the lock, the servers' user, free ports,
 * passwords. */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <netinet/in.h>
#include <pwd.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "cmd/up.h"

#define NAME          "up"
#define DEFAULT_HTTP  "127.0.0.1:8080"
#define OUTSIDE_STATE "/var/lib/tongguan"
#define PORT_LOW      20000
#define PORT_HIGH     32000
#define PORT_TRIES    100

void up_password(char *out, size_t n)
{
	static const char letters[] = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";

	for (size_t i = 0; i < n; i++)
		out[i] = letters[randombytes_uniform(sizeof(letters) - 1)];
	out[n] = '\0';
}

/* Makes the whole path; what exists stays as it is. */
static int make_folder(const char *path, mode_t mode)
{
	char part[PATH_MAX];

	if (strlen(path) >= sizeof(part))
		return -TG_ERANGE;
	strcpy(part, path);
	for (char *p = part + 1; *p; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		if (mkdir(part, 0755) && errno != EEXIST)
			return -TG_ESYS;
		*p = '/';
	}
	return mkdir(part, mode) && errno != EEXIST ? -TG_ESYS : 0;
}

static int join(char out[PATH_MAX], const char *dir, const char *name)
{
	int n = snprintf(out, PATH_MAX, "%s/%s", dir, name);

	return n > 0 && n < PATH_MAX ? 0 : -TG_ERANGE;
}

static int setup_state(struct up *up)
{
	char path[PATH_MAX];
	int fd;

	if (make_folder(up->conf->state_dir, 0755) || !realpath(up->conf->state_dir, up->state) ||
		join(up->logs, up->state, "log") || make_folder(up->logs, 0755))
		return tg_cmd_fail(NAME,
			       "cannot make the state folder %s: %s (set TONGGUAN_STATE_DIR to "
			       "another place)",
			       up->conf->state_dir, strerror(errno)),
		       -TG_ESYS;
	if (join(path, up->state, "lock"))
		return -TG_ERANGE;
	/* Kept open: the lock lives as long as we do. */
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB)) {
		tg_cmd_fail(NAME,
			"another `tongguan up` runs in %s: stop it, or set TONGGUAN_STATE_DIR",
			up->state);
		return -TG_EEXIST;
	}
	return 0;
}

/* PostgreSQL refuses root: when we are root, the servers run as `postgres`, else `nobody`. */
static int setup_user(struct up *up)
{
	const struct passwd *pw;

	if (geteuid() != 0)
		return 0;
	pw = getpwnam("postgres");
	if (!pw)
		pw = getpwnam("nobody");
	if (!pw) {
		tg_cmd_fail(NAME, "PostgreSQL does not run as root and there is no user postgres: "
				  "run as another user");
		return -TG_ENOENT;
	}
	up->uid = pw->pw_uid;
	up->gid = pw->pw_gid;
	return 0;
}

/* May anybody pass through every folder of the path? Else another user cannot reach what lies
 * below. */
static bool open_to_others(const char *path)
{
	char part[PATH_MAX];
	struct stat st;

	strcpy(part, path);
	while (part[0]) {
		if (stat(part, &st) || !(st.st_mode & S_IXOTH))
			return false;
		*strrchr(part, '/') = '\0';
	}
	return true;
}

static int setup_servers(struct up *up)
{
	const char *name = up->ephemeral ? "ephemeral" : "servers";
	char outside[PATH_MAX], hex[17];
	unsigned char sum[8 + 8];

	if (join(up->servers, up->state, name))
		return -TG_ERANGE;
	if (up->uid && !open_to_others(up->state)) {
		crypto_generichash(sum, sizeof(sum), (const unsigned char *)up->state,
			strlen(up->state), NULL, 0);
		tg_hex(sum, 8, hex);
		if (join(outside, OUTSIDE_STATE, hex) || join(up->servers, outside, name))
			return -TG_ERANGE;
	}
	if (up->ephemeral)
		up_throw_away(up);
	if (make_folder(up->servers, 0700) || (up->uid && chown(up->servers, up->uid, up->gid))) {
		tg_cmd_fail(NAME, "cannot make %s: %s", up->servers, strerror(errno));
		return -TG_ESYS;
	}
	return 0;
}

static int try_port(const char *host, int port)
{
	struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	socklen_t len = sizeof(addr);
	int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || inet_pton(AF_INET, host, &addr.sin_addr) != 1)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&addr, len) ||
		getsockname(fd, (struct sockaddr *)&addr, &len)) {
		close(fd);
		return -1;
	}
	close(fd);
	return ntohs(addr.sin_port);
}

/* A free port. 0 asks for any: we draw one below the range from which the kernel takes the local
 * ports of outgoing connections, so that none of those can take it before its server has started.
 */
static int bind_port(const char *host, int port)
{
	int found = -1;

	if (port)
		return try_port(host, port);
	for (int i = 0; i < PORT_TRIES && found < 0; i++)
		found = try_port(host, PORT_LOW + (int)randombytes_uniform(PORT_HIGH - PORT_LOW));
	return found;
}

/* "host:port" → both; port 0 becomes a free one. A wanted port that is taken: one line. */
static int setup_listen(const char *key, const char *listen, char host[64], int *ret_port)
{
	const char *colon = strrchr(listen, ':');
	bool any_will_do = strcmp(listen, DEFAULT_HTTP) == 0 && !getenv("TONGGUAN_HTTP_LISTEN");
	size_t n = colon ? (size_t)(colon - listen) : 0;
	char *end;
	long port = colon ? strtol(colon + 1, &end, 10) : -1;

	if (!colon || n == 0 || n >= 64 || *end || port < 0 || port > 65535) {
		tg_cmd_fail(NAME, "%s: '%s' is not host:port", key, listen);
		return -TG_ECONF;
	}
	memcpy(host, listen, n);
	host[n] = '\0';
	if (strcmp(host, "localhost") == 0)
		strcpy(host, "127.0.0.1");
	*ret_port = bind_port(host, (int)port);
	if (*ret_port < 0 && any_will_do)
		*ret_port = bind_port(host, 0);
	if (*ret_port < 0) {
		tg_cmd_fail(NAME,
			"%s: %s is taken or not ours: stop what uses it, or set another port (%s)",
			key, listen, "0 takes a free one");
		return -TG_EEXIST;
	}
	return 0;
}

static int setup_ports(struct up *up)
{
	char host[64];
	int rc = setup_listen("http.listen", up->conf->http_listen, up->http_host, &up->http_port);

	if (!rc)
		rc = setup_listen("ingest.listen", up->conf->ingest_listen, host, &up->ingest_port);
	if (!rc)
		rc = setup_listen(
			"correlate.listen", up->conf->correlate_listen, host, &up->correlate_port);
	up->pg_port = bind_port("127.0.0.1", 0);
	up->redis_port = bind_port("127.0.0.1", 0);
	up->kafka_port = bind_port("127.0.0.1", 0);
	up->controller_port = bind_port("127.0.0.1", 0);
	return rc;
}

/* The servers' password survives in their folder, readable to us alone. */
static int setup_password(struct up *up)
{
	char path[PATH_MAX];
	struct tg_buf text = {.max = 256};
	int rc = join(path, up->servers, "password"), fd;

	if (rc)
		return rc;
	if (tg_buf_read_file(&text, path) == 0 && text.len >= 24) {
		memcpy(up->password, text.data, 24);
		up->password[24] = '\0';
		tg_buf_release(&text);
		return 0;
	}
	tg_buf_release(&text);
	up_password(up->password, 24);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, up->password, 24) != 24 ||
		(up->uid && fchown(fd, up->uid, up->gid)))
		rc = -TG_ESYS;
	if (fd >= 0)
		close(fd);
	return rc;
}

static void setup_addresses(struct up *up)
{
	if (up->own_pg)
		snprintf(up->pg_url, sizeof(up->pg_url),
			"postgresql://tongguan:%s@127.0.0.1:%d/tongguan", up->password,
			up->pg_port);
	else
		snprintf(up->pg_url, sizeof(up->pg_url), "%s", up->conf->postgres_url);
	if (up->own_redis)
		snprintf(up->redis_url, sizeof(up->redis_url), "redis://:%s@127.0.0.1:%d",
			up->password, up->redis_port);
	else
		snprintf(up->redis_url, sizeof(up->redis_url), "%s", up->conf->redis_url);
	if (up->own_kafka)
		snprintf(up->brokers, sizeof(up->brokers), "127.0.0.1:%d", up->kafka_port);
	else
		snprintf(up->brokers, sizeof(up->brokers), "%s", up->conf->kafka_brokers);
}

int up_setup(struct up *up)
{
	int rc = setup_state(up);

	if (!rc)
		rc = setup_user(up);
	if (!rc)
		rc = setup_servers(up);
	if (!rc)
		rc = setup_ports(up);
	if (!rc)
		rc = setup_password(up);
	if (!rc)
		setup_addresses(up);
	return rc;
}

/* ---- environment of the children, and up.env
 * ------------------------------------------------------------------------------ */

struct env_line {
	char name[64];
	char value[600];
};

#define ENV_LINES (8 + 2 * UP_PG_ROLES)

/* TONGGUAN_POSTGRES_INGEST_USER and the like. Of somebody else's PostgreSQL the configuration names
 * the accounts. */
static int account_lines(const struct up *up, struct env_line *lines)
{
	for (int i = 0; i < UP_PG_ROLES; i++) {
		struct env_line *user = &lines[2 * i], *password = user + 1;
		char role[16];

		snprintf(role, sizeof(role), "%s", up_pg_roles[i]);
		for (char *c = role; *c; c++)
			*c = (char)toupper((unsigned char)*c);
		snprintf(user->name, sizeof(user->name), "TONGGUAN_POSTGRES_%s_USER", role);
		snprintf(user->value, sizeof(user->value), "tongguan_%s", up_pg_roles[i]);
		snprintf(password->name, sizeof(password->name), "TONGGUAN_POSTGRES_%s_PASSWORD",
			role);
		snprintf(password->value, sizeof(password->value), "%s", up->pg_passwords[i]);
	}
	return 2 * UP_PG_ROLES;
}

static int env_lines(const struct up *up, struct env_line lines[ENV_LINES])
{
	static const char *const names[] = {"KAFKA_BROKERS", "POSTGRES_URL", "REDIS_URL",
		"HTTP_LISTEN", "INGEST_LISTEN", "CORRELATE_LISTEN", "STATE_DIR"};
	int n = (int)(sizeof(names) / sizeof(names[0]));

	for (int i = 0; i < n; i++)
		snprintf(lines[i].name, sizeof(lines[i].name), "TONGGUAN_%s", names[i]);
	snprintf(lines[0].value, sizeof(lines[0].value), "%s", up->brokers);
	snprintf(lines[1].value, sizeof(lines[1].value), "%s", up->pg_url);
	snprintf(lines[2].value, sizeof(lines[2].value), "%s", up->redis_url);
	snprintf(lines[3].value, sizeof(lines[3].value), "%s:%d", up->http_host, up->http_port);
	snprintf(lines[4].value, sizeof(lines[4].value), "127.0.0.1:%d", up->ingest_port);
	snprintf(lines[5].value, sizeof(lines[5].value), "127.0.0.1:%d", up->correlate_port);
	snprintf(lines[6].value, sizeof(lines[6].value), "%.500s", up->state);
	if (up->packs[0]) {
		snprintf(lines[n].name, sizeof(lines[n].name), "TONGGUAN_CORRELATE_PACKS");
		snprintf(lines[n++].value, sizeof(lines[0].value), "%.599s", up->packs);
	}
	return up->own_pg ? n + account_lines(up, lines + n) : n;
}

void up_export(const struct up *up)
{
	struct env_line lines[ENV_LINES];
	int n = env_lines(up, lines);

	for (int i = 0; i < n; i++)
		setenv(lines[i].name, lines[i].value, 1);
}

int up_write_env(const struct up *up)
{
	struct env_line lines[ENV_LINES];
	char path[PATH_MAX], fresh[PATH_MAX];
	int fd, n = env_lines(up, lines);

	if (join(path, up->state, "up.env") || join(fresh, up->state, "up.env.new"))
		return -TG_ERANGE;
	fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return -TG_ESYS;
	for (int i = 0; i < n; i++)
		dprintf(fd, "%s=%s\n", lines[i].name, lines[i].value);
	/* Tells a reader whether the file outlived us. */
	dprintf(fd, "TONGGUAN_UP_PID=%d\n", (int)getpid());
	close(fd);
	return rename(fresh, path) ? -TG_ESYS : 0;
}

void up_remove_env(const struct up *up)
{
	char path[PATH_MAX];

	if (join(path, up->state, "up.env") == 0)
		unlink(path);
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *where)
{
	(void)st;
	(void)kind;
	(void)where;
	return remove(path);
}

void up_throw_away(const struct up *up)
{
	if (access(up->servers, F_OK) == 0)
		nftw(up->servers, remove_one, 32, FTW_DEPTH | FTW_PHYS);
}
