"""TCP proxies between an ingest and its servers: they stall, reset, half-close, fall silent, and know enough of PostgreSQL's
protocol to lose the answer to a COMMIT and to prove by the server's state that it had been committed.

All of them run on one event loop in a thread of its own; the methods named in capitals' comments are called from any thread.
"""
import asyncio
import concurrent.futures
import ctypes
import socket
import struct
import threading

import psycopg

SO_ATTACH_FILTER, SO_DETACH_FILTER = 26, 27
# One BPF instruction, `ret #0`: the kernel drops what arrives, unacknowledged. So looks a host that is gone.
DROP_ALL = struct.pack("HBBI", 0x06, 0, 0, 0)


class Loop:
    """The thread that turns for all proxies."""

    def __init__(self):
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self._run, name="proxies", daemon=True)
        self.thread.start()

    def _run(self):
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()

    def do(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(30)

    def close(self):
        async def end():
            for task in asyncio.all_tasks():
                if task is not asyncio.current_task():
                    task.cancel()
        self.do(end())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)


class Connection:
    def __init__(self, proxy, client, server):
        self.proxy, self.client, self.server = proxy, client, server
        self.last = False   # what has just been passed on to the client is followed by a reset
        self.half = False   # the client has been told that nothing more comes
        self.ghost = False  # its server's host is gone: the client's socket stays open and says nothing
        self.pumps = []

    def linger(self):
        """Closing now says RST."""
        for sock in (self.client, self.server):
            if sock.fileno() >= 0:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def reset(self):
        self.linger()
        for pump in self.pumps:
            pump.cancel()


class Proxy:
    """Passes bytes on from 127.0.0.1:port to the server's port."""

    def __init__(self, loop, port):
        self.loop, self.port, self.upstream = loop, port, None
        self.connections, self.ghosts = set(), []
        self.accepted = 0
        self.passing = None
        self.loop.do(self._open())

    async def _open(self):
        self.passing = asyncio.Event()
        self.passing.set()
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", self.port))
        self.listener.listen(64)
        self.listener.setblocking(False)
        self.task = asyncio.ensure_future(self._accept())

    async def _accept(self):
        loop = asyncio.get_running_loop()
        while True:
            client, _ = await loop.sock_accept(self.listener)
            self.accepted += 1
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            asyncio.ensure_future(self._serve(client))

    async def _serve(self, client):
        server = socket.socket()
        server.setblocking(False)
        client.setblocking(False)
        conn = self.connection(client, server)
        self.connections.add(conn)
        try:
            await asyncio.get_running_loop().sock_connect(server, ("127.0.0.1", self.upstream))
            server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            conn.pumps = [asyncio.ensure_future(self._pump(conn, client, server, self.from_client)),
                          asyncio.ensure_future(self._pump(conn, server, client, self.from_server))]
            await asyncio.wait(conn.pumps, return_when=asyncio.FIRST_EXCEPTION)
            if any(not pump.done() or pump.cancelled() or pump.exception() for pump in conn.pumps):
                conn.reset()
                await asyncio.wait(conn.pumps)
        except OSError:
            conn.linger()
        finally:
            self.connections.discard(conn)
            server.close()
            if not conn.ghost:
                client.close()

    def connection(self, client, server):
        return Connection(self, client, server)

    async def _pump(self, conn, source, sink, through):
        loop = asyncio.get_running_loop()
        while data := await loop.sock_recv(source, 1 << 16):
            await self.passing.wait()
            for piece in await through(conn, data):
                if not (conn.half and sink is conn.client):
                    await loop.sock_sendall(sink, piece)
            if conn.last and sink is conn.client:
                conn.linger()
                raise ConnectionAbortedError("cut right behind an answer")
        await self.passing.wait()
        if not (conn.half and sink is conn.client):
            sink.shutdown(socket.SHUT_WR)

    async def from_client(self, conn, data):
        return [data]

    async def from_server(self, conn, data):
        return [data]

    # ---- from any thread

    def _now(self, call):
        async def run():
            return call()
        return self.loop.do(run())

    def stall(self):
        """Nothing passes, nothing ends: the peer's kernel still acknowledges. How many connections it struck."""
        return self._now(lambda: (self.passing.clear(), len(self.connections))[1])

    def go(self):
        self._now(self.passing.set)

    def reset(self):
        """RST to both sides of every connection. How many there were."""
        def act():
            struck = list(self.connections)
            for conn in struck:
                conn.reset()
            return len(struck)
        return self._now(act)

    def half_close(self):
        """The ingest sees the end of the stream and may go on writing. How many connections it struck."""
        def act():
            struck = [conn for conn in self.connections if conn.pumps and not conn.half]
            for conn in struck:
                conn.half = True
                conn.client.shutdown(socket.SHUT_WR)
            return len(struck)
        return self._now(act)

    def vanish(self):
        """As if the server's host lost its power: nothing of the ingest's is acknowledged any more; the server sees a reset."""
        def act():
            self.ghosts = [conn for conn in self.connections if conn.pumps]
            for sock in [self.listener] + [conn.client for conn in self.ghosts]:
                attach_filter(sock)
            for conn in self.ghosts:
                conn.ghost = True
                conn.reset()
            self.accepted = 0
            return len(self.ghosts)
        return self._now(act)

    def appear(self):
        """The host is back; it knows nothing of the old connections."""
        def act():
            self.listener.setsockopt(socket.SOL_SOCKET, SO_DETACH_FILTER, 0)
            for conn in self.ghosts:
                conn.linger()
                conn.client.close()
            self.ghosts = []
        self._now(act)


def attach_filter(sock):
    code = ctypes.create_string_buffer(DROP_ALL)
    sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HL", 1, ctypes.addressof(code)))


# ---- PostgreSQL -------------------------------------------------------------------------------------------------------------


class Messages:
    """Cuts a stream into messages; the first of a client has no type byte."""

    def __init__(self, untyped_first):
        self.buffer, self.untyped = bytearray(), untyped_first

    def feed(self, data):
        self.buffer += data
        out, at = [], 0
        while True:
            head = 0 if self.untyped else 1
            if len(self.buffer) - at < head + 4:
                break
            length = struct.unpack_from("!i", self.buffer, at + head)[0] + head
            if len(self.buffer) - at < length:
                break
            out.append((b"" if self.untyped else bytes(self.buffer[at:at + 1]), bytes(self.buffer[at:at + length])))
            self.untyped = False
            at += length
        del self.buffer[:at]
        return out


class Session(Connection):
    def __init__(self, *args):
        super().__init__(*args)
        self.to_server, self.to_client = Messages(True), Messages(False)
        self.name, self.pid, self.xid = "", 0, None
        self.commits = set()  # prepared statements that commit

    def cut(self):
        self.linger()
        raise ConnectionAbortedError("cut by a fault")


class Wish:
    """One fault that waits for its moment on the sink's connection."""

    def __init__(self, kind):
        self.kind, self.done, self.release = kind, concurrent.futures.Future(), asyncio.Event()


class PgProxy(Proxy):
    """Strikes the connection of ingest's sink, known by its application_name."""

    SINK = b"tongguan ingest\0"

    def __init__(self, loop, port, url):
        self.url, self.wish, self.look = url, None, None
        super().__init__(loop, port)

    def connection(self, client, server):
        return Session(self, client, server)

    # ---- from any thread

    def ask(self, kind):
        """kind: lose_answer (committed, the answer is lost), lose_request (the COMMIT never arrives), hold_request (until
        let_go), reset_behind (an answer arrives and a reset right behind it). The future tells how the server's own record of the transaction reads after it: 'committed', 'aborted'."""
        self.wish = Wish(kind)
        return self.wish.done

    def let_go(self, wish=None):
        wish = wish or self.wish
        self.wish = None
        if wish:
            self.loop.loop.call_soon_threadsafe(wish.release.set)

    # ---- on the loop

    async def _query(self, sql, *params):
        if not self.look or self.look.closed:
            self.look = await psycopg.AsyncConnection.connect(self.url, autocommit=True)
        return (await (await self.look.execute(sql, params)).fetchone())[0]

    async def _learn_xid(self, session):
        if session.xid is None:
            session.xid = await self._query("SELECT max(backend_xid::text) FROM pg_stat_activity WHERE pid = %s", session.pid)

    async def _settled(self, wish, xid):
        """Waits until the server has made up its mind about a transaction, and tells."""
        while (status := await self._query("SELECT pg_xact_status(%s::text::xid8)", xid)) == "in progress":
            await asyncio.sleep(0.005)
        if not wish.done.done():
            wish.done.set_result(status)

    @staticmethod
    def commits(session, kind, body):
        """Does this message of the client commit?"""
        if kind == b"Q":
            return b"COMMIT" in body[5:].upper()
        if kind == b"P":
            name, text = body[5:].split(b"\0", 2)[:2]
            if text.strip().upper().startswith(b"COMMIT"):
                session.commits.add(name)
        elif kind == b"B":
            return body[5:].split(b"\0", 2)[1] in session.commits
        return False

    async def from_client(self, session, data):
        out = []
        for kind, body in session.to_server.feed(data):
            if not kind:
                session.name = body
            wish = self.wish
            sink = self.SINK in session.name
            if sink and self.commits(session, kind, body) and wish and wish.kind in ("lose_request", "hold_request"):
                for piece in out:
                    await asyncio.get_running_loop().sock_sendall(session.server, piece)
                out = []
                await self._strike_request(session, wish)
            out.append(body)
        return out

    async def _strike_request(self, session, wish):
        for _ in range(100):  # what came before it may still be under way
            await self._learn_xid(session)
            if session.xid:
                break
            await asyncio.sleep(0.01)
        if not session.xid:
            return
        self.wish = None
        if wish.kind == "lose_request":
            asyncio.ensure_future(self._settled(wish, session.xid))
            session.cut()
        wish.done.set_result(await self._query("SELECT pg_xact_status(%s::text::xid8)", session.xid))
        await wish.release.wait()

    async def from_server(self, session, data):
        out, wish = [], self.wish
        if not session.pid or wish is None or self.SINK not in session.name:
            for kind, body in session.to_client.feed(data):
                if kind == b"K":
                    session.pid = struct.unpack_from("!i", body, 5)[0]
            session.xid = None if wish is None else session.xid
            return [data]
        if wish.kind == "reset_behind":
            session.last, self.wish = True, None
            session.to_client.feed(data)
            wish.done.set_result("reset")
            return [data]
        # Parts of a message that were passed on before must not be sent again: from here on whole messages go out.
        begun = len(session.to_client.buffer)
        for kind, body in session.to_client.feed(data):
            if kind == b"C" and body.endswith(b"COMMIT\0"):
                if wish.kind == "lose_answer" and session.xid and self.wish is wish:
                    self.wish = None
                    asyncio.ensure_future(self._settled(wish, session.xid))
                    session.cut()
                session.xid = None
            elif kind == b"Z" and body.endswith(b"I"):
                session.xid = None
            elif kind in (b"Z", b"G"):
                await self._learn_xid(session)
            out.append(body[begun:])
            begun = 0
        rest = bytes(session.to_client.buffer[begun:]) if not out else bytes(session.to_client.buffer)
        return out + ([rest] if rest else [])
