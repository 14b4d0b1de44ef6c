// The head line: whose city, search, how fresh the data are, who is signed in, the time there.
import { session, signOut } from "../api";
import { wallClock } from "../format";
import { city, departmentShort, now, textFilter, touched } from "../store";
import { heardAt, streamState } from "../stream";
import { either, lang, setLang, t, tn } from "../text";
import { setTheme, theme } from "../ui";

/** Language and theme; tests find the ones in the head line. */
export function Switches({ testids = true }: { testids?: boolean }) {
	const dark = theme.value === "dark";
	return (
		<>
			<button class="sw" data-testid={testids ? "lang-switch" : undefined} title={t("lang.switch")} onClick={() => setLang(lang.peek() === "zh" ? "en" : "zh")}>
				{t("lang.other")}</button>
			<button class="sw" data-testid={testids ? "theme-switch" : undefined} aria-pressed={dark} onClick={() => setTheme(dark ? "light" : "dark")}>
				{t(dark ? "theme.light" : "theme.dark")}</button>
		</>
	);
}

/** Seconds since anything was heard, and whether that is still calm. */
function Freshness() {
	const at = now.value && Date.now();
	const state = streamState(at);
	const silent = heardAt.value ? Math.max(0, (at - heardAt.value) / 1000) : 0;
	return (
		<span class="fresh" data-testid="stream-state" data-state={state}>
			<i class={`dot ${state}`} />
			{state === "live" ? t("stream.live", { s: silent.toFixed(0) })
				: state === "stale" ? t("stream.stale", { s: silent.toFixed(0) }) : t("stream.connecting")}
		</span>
	);
}

function Search() {
	return (
		<label class="search">
			<svg width="14" height="14" viewBox="0 0 14 14" fill="none" stroke="currentColor" stroke-width="1.5" aria-hidden="true">
				<circle cx="6" cy="6" r="4.2" /><path d="m9.2 9.2 3.6 3.6" /></svg>
			<input type="search" placeholder={t("search")} aria-label={t("search")} data-testid="search" value={textFilter.value}
				onInput={(e) => {
					touched();
					textFilter.value = e.currentTarget.value;
				}} />
			<span class="k">/</span>
		</label>
	);
}

function Clock() {
	return <span class="clock">{wallClock(now.value)}</span>;
}

export function Top() {
	const me = session.value;
	return (
		<header class="top">
			<div class="brand">{t("app")}</div>
			<div class="org el">{either(city.value?.name_zh, city.value?.name_en)}</div>
			<Search />
			<div class="tr">
				<Freshness />
				<span class="me" data-testid="me">{me?.name} <span class="mut">{tn("role", me?.role) === me?.name.replace(/_/g, " ") ? "" : tn("role", me?.role)}{me?.department ? ` · ${departmentShort(me.department)}` : ""}</span></span>
				<span class="sws"><Switches />
					<button class="sw" data-testid="signout" onClick={() => void signOut()}>{t("signout")}</button></span>
				<Clock />
			</div>
		</header>
	);
}
