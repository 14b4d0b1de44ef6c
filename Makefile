# tongguan: everything is built out of tree, in build/. `make help` lists the targets.
#
#   make          the program, build/tongguan, and the console, build/console/
#   make run      embedded servers, a city, its reports, the three roles: one terminal (CITY=boston)
#   make install  the program, its data, the console, systemd units, below PREFIX (/usr/local)
#   make test     units, integration, end to end and browser, also under sanitizers
#   make faults   kill -9, zombies, lost COMMITs and all the rest, at length, with a table of counts
#   make check    arrows, format, lint, headers alone, migrations twice
#   make bench    ratios against rooflines measured in the same run (ONLY=ingest,locate,correlate,visible,latency,…)
#   make fuzz     libFuzzer over everything that reads bytes from outside (ONLY=feed,http; FUZZ_SECONDS=300 each)
#   make soak     a city under mixed load for hours, watched for what grows (SOAK_SECONDS=14400)
#   make feeds    every shipped feed profile over its whole file, with a table (TONGGUAN_DATA=folder)

CC      ?= gcc
B       := build
GEN     := $(B)/gen
LLHTTP  := $(B)/deps/llhttp
CITY    ?= boston

# SAN=1 builds the same tree under address and undefined sanitizers in build/san; BREAK=NAME builds one deliberately
# broken variant (see tests/README.md) in build/break-NAME.
ifdef SAN
O       := $(B)/san
SANFLAGS := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
else ifdef FUZZ
O       := $(B)/fuzz
CC      := clang-14
SANFLAGS := -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
else ifdef BREAK
O       := $(B)/break-$(BREAK)
SANFLAGS := -DTG_BREAK_$(BREAK)
else
O       := $(B)/obj
SANFLAGS :=
endif

PKGS     := libuv rdkafka hiredis libpq jansson yaml-0.1 libsodium libprotobuf-c zlib
WARN     := -Wall -Wextra -Wconversion -Wsign-conversion -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
            -Wvla -Wformat=2 -Werror $(if $(FUZZ),-Wno-string-conversion -Wno-format-nonliteral) # what clang counts beyond gcc
HARDEN   := -fstack-protector-strong -fcf-protection -fPIE $(if $(SAN)$(FUZZ),,-D_FORTIFY_SOURCE=2)
PKGFLAGS  = $(shell pkg-config --cflags $(PKGS))
CFLAGS   ?= $(if $(SAN),-O1 -g1,-O2 -g)
ALLFLAGS  = -std=gnu17 -D_GNU_SOURCE $(CFLAGS) $(WARN) $(HARDEN) $(SANFLAGS) -I. -I$(GEN) -I$(LLHTTP) $(PKGFLAGS)
LDFLAGS  += -pie -Wl,-z,relro,-z,now $(SANFLAGS)
LDLIBS    = $(shell pkg-config --libs $(PKGS)) -lm -lpthread
# Kafka's client allocates on one thread what it frees on another: a third of ingest's work with the C library's malloc.
MALLOC    = $(if $(SAN)$(FUZZ),,$(shell pkg-config --libs jemalloc))

# A broken variant compiles again only the files that hold its switch.
BROKEN   := $(if $(BREAK),$(shell grep -l 'TG_BREAK_$(BREAK)' -r --include=*.c base proto ingest correlate dispatch cmd))

ROOMS    := base base/io proto ingest correlate dispatch
SRC      := $(foreach d,$(ROOMS),$(wildcard $(d)/*.c))
CMD      := $(wildcard cmd/*.c)
object    = $(if $(BREAK),$(if $(filter $(1),$(BROKEN)),$(O),$(B)/obj),$(O))/$(1:%.c=%.o)
OBJ      := $(foreach f,$(SRC) gen/event.pb-c.c gen/queries.c gen/migrations.c llhttp/llhttp.c llhttp/api.c \
            llhttp/http.c,$(call object,$(f)))
CMDOBJ   := $(foreach f,$(CMD),$(call object,$(f)))
LIB      := $(O)/libtongguan.a
BIN      := $(if $(SAN)$(FUZZ)$(BREAK),$(O)/tongguan,$(B)/tongguan)
UNIT     := $(patsubst tests/unit/%.c,$(O)/tests/%,$(wildcard tests/unit/*_test.c))
FUZZERS  := event_bytes event_json city feed pack http
FUZZBIN  := $(FUZZERS:%=$(O)/tests/fuzz_%)
INTEG    := $(patsubst tests/integration/%.c,$(O)/tests/%,$(wildcard tests/integration/*_test.c))

QUERIES    := $(sort $(wildcard schema/queries/*.sql))
MIGRATIONS := $(sort $(wildcard schema/[0-9][0-9][0-9][0-9]_*.sql))
LUA        := $(wildcard correlate/lua/*.lua)
GENERATED  := $(GEN)/event.pb-c.h $(GEN)/queries.h $(GEN)/migrations.h $(GEN)/openapi_json.h \
              $(LUA:correlate/lua/%.lua=$(GEN)/%_lua.h)

.PHONY: install install-built all deps run test faults check bench fuzz feeds soak clean help program console unit unit-bins integration-bins fuzz-bins
.DELETE_ON_ERROR:

all: deps
	@$(MAKE) --no-print-directory -j$$(nproc) program
	@$(MAKE) --no-print-directory console

program: $(BIN)

deps:
	@deploy/deps.sh $(DEPS)

UP_xuhui := --simulate
run: all
	@$(B)/tongguan up --city $(CITY) $(UP_$(CITY)) $(UP)

test: all
	@tests/run $(ONLY)

faults: all
	@$(B)/deps/venv/bin/python -u tests/faults/long.py

check: deps
	@$(MAKE) --no-print-directory -j$$(nproc) program
	@tests/check

bench: all
	@bench/run $(ONLY)

fuzz: all
	@$(MAKE) --no-print-directory -j$$(nproc) FUZZ=1 fuzz-bins
	@tests/fuzz/run "$(or $(ONLY),$(FUZZERS))" $(or $(FUZZ_SECONDS),300)

soak: all
	@$(B)/deps/venv/bin/python tests/soak $(or $(SOAK_SECONDS),14400)

feeds: all
	@TONGGUAN_FEED_ROWS=0 $(B)/deps/venv/bin/python -m pytest -q -s tests/e2e/test_feeds.py

# Below PREFIX, and nothing of it needs this tree any more. For packagers: DESTDIR.
PREFIX  ?= /usr/local
install: all install-built

install-built:
	@deploy/install.sh "$(PREFIX)" "$(DESTDIR)"

clean:
	rm -rf $(filter-out $(B)/deps,$(wildcard $(B)/*))

help:
	@sed -n '3,13s/^# *//p' Makefile

# ---- generated code ----------------------------------------------------------------------------------------------

$(GEN)/event.pb-c.c $(GEN)/event.pb-c.h &: proto/event.proto
	@mkdir -p $(GEN)
	@protoc-c --proto_path=proto --c_out=$(GEN) event.proto

# A text file as a C string literal, one line a line.
CSTRING = sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e 's/?/\\?/g' -e 's/^/"/' -e 's/$$/\\n"/'

$(GEN)/queries.c $(GEN)/queries.h &: $(QUERIES) Makefile
	@mkdir -p $(GEN)
	@{ echo '#include "queries.h"'; for f in $(QUERIES); do n=$$(basename $$f .sql); \
		echo "const char tg_sql_$$n[] ="; $(CSTRING) $$f; echo ';'; done; } > $(GEN)/queries.c
	@{ echo '/* Generated from schema/queries: one named statement a file. */'; echo '#pragma once'; \
		for f in $(QUERIES); do echo "extern const char tg_sql_$$(basename $$f .sql)[];"; done; } > $(GEN)/queries.h

$(GEN)/migrations.c $(GEN)/migrations.h &: $(MIGRATIONS) Makefile
	@mkdir -p $(GEN)
	@{ echo '#include <stddef.h>'; echo '#include "migrations.h"'; echo 'const struct tg_migration tg_migrations[] = {'; \
		for f in $(MIGRATIONS); do echo "{\"$$(basename $$f .sql)\","; $(CSTRING) $$f; echo '},'; done; \
		echo '{NULL, NULL},'; echo '};'; } > $(GEN)/migrations.c
	@{ echo '/* Generated from schema: numbered, forward only. */'; echo '#pragma once'; \
		echo 'struct tg_migration {'; echo '	const char *name, *sql;'; echo '};'; \
		echo 'extern const struct tg_migration tg_migrations[]; /* ends with a NULL name */'; } > $(GEN)/migrations.h

$(GEN)/openapi_json.h: schema/openapi.json Makefile
	@mkdir -p $(GEN)
	@{ echo '#pragma once'; echo 'static const char tg_openapi_json[] ='; $(CSTRING) $<; echo ';'; } > $@

$(GEN)/%_lua.h: correlate/lua/%.lua Makefile
	@mkdir -p $(GEN)
	@{ echo '#pragma once'; echo 'static const char tg_lua_$*[] ='; $(CSTRING) $<; echo ';'; } > $@

ifdef BREAK
.PHONY: plain
plain:
	@$(MAKE) --no-print-directory BREAK= program
$(B)/obj/%.o: | plain ;
endif

# ---- compiling ---------------------------------------------------------------------------------------------------

$(O)/%.o: %.c | $(GENERATED)
	@mkdir -p $(@D)
	@echo "  CC  $@"
	@$(CC) $(ALLFLAGS) -MMD -MP -c -o $@ $<

$(O)/gen/%.o: $(GEN)/%.c | $(GENERATED)
	@mkdir -p $(@D)
	@echo "  CC  $@"
	@$(CC) -std=gnu17 $(CFLAGS) -w $(HARDEN) $(SANFLAGS) -I$(GEN) $(PKGFLAGS) -c -o $@ $<

$(O)/llhttp/%.o: $(LLHTTP)/%.c
	@mkdir -p $(@D)
	@echo "  CC  $@"
	@$(CC) -std=gnu17 $(CFLAGS) -w $(HARDEN) $(SANFLAGS) -I$(LLHTTP) -c -o $@ $<

$(LIB): $(OBJ)
	@rm -f $@
	@ar rcs $@ $(OBJ)

$(BIN): $(CMDOBJ) $(LIB)
	@echo "  LD  $@"
	@$(CC) $(LDFLAGS) -o $@ $(CMDOBJ) $(LIB) $(LDLIBS) $(MALLOC)

$(O)/tests/%: tests/unit/%.c $(LIB)
	@mkdir -p $(@D)
	@echo "  LD  $@"
	@$(CC) $(ALLFLAGS) -MMD -MP -MF $@.d -o $@ $< $(LDFLAGS) $(LIB) $(LDLIBS) -lcmocka

$(O)/tests/%: tests/integration/%.c $(LIB)
	@mkdir -p $(@D)
	@echo "  LD  $@"
	@$(CC) $(ALLFLAGS) -MMD -MP -MF $@.d -o $@ $< $(LDFLAGS) $(LIB) $(LDLIBS) -lcmocka

# Driven by libFuzzer where it is built for it, else by a driver of our own (SAN=1).
FUZZMAIN := $(if $(FUZZ),,$(O)/tests/fuzz/driver.o)
$(O)/libcmd.a: $(CMDOBJ)
	@rm -f $@
	@ar rcs $@ $(CMDOBJ)

$(O)/tests/fuzz_%: tests/fuzz/%.c $(FUZZMAIN) $(O)/libcmd.a $(LIB)
	@mkdir -p $(@D)
	@echo "  LD  $@"
	@$(CC) $(ALLFLAGS) -MMD -MP -MF $@.d -o $@ $< $(FUZZMAIN) $(LDFLAGS) $(if $(FUZZ),-fsanitize=fuzzer) $(O)/libcmd.a $(LIB) $(LDLIBS)

fuzz-bins: $(FUZZBIN)
$(O)/bench/%: bench/%.c $(LIB)
	@mkdir -p $(@D)
	@echo "  LD  $@"
	@$(CC) $(ALLFLAGS) -MMD -MP -MF $@.d -o $@ $(filter %.c,$^) $(LDFLAGS) $(LIB) $(LDLIBS) $(MALLOC)
$(O)/bench/correlate: bench/correlate_events.c bench/correlate_engine.c

unit-bins: $(UNIT)
integration-bins: $(INTEG)

# ---- console -----------------------------------------------------------------------------------------------------

CONSOLE_SRC := $(shell find console -type f -not -path '*/node_modules/*' 2>/dev/null)
console: $(B)/console/manifest.json
$(B)/console/manifest.json: $(CONSOLE_SRC)
	@cd console && PATH="$(CURDIR)/$(B)/deps/bin:$$PATH" npm run --silent build

-include $(shell find $(O) -name '*.d' 2>/dev/null)
