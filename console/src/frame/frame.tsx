// What surrounds the panes: rail, foot line, banners, toasts, the table of keys.
import { effect } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { actionName, allowed } from "../act";
import { thousands, timeOfDay } from "../format";
import { capOf, focusOn, PRIMARY } from "../keys";
import { caseById, isDepartment, now, position, resynced, selected } from "../store";
import { attempts, gap, heardAt, retryNow, streamState } from "../stream";
import { t } from "../text";
import { dropToast, footNote, help, isSmall, mapShown, toast, toasts } from "../ui";

export function Rail() {
	const onMap = isSmall.value && mapShown.value;
	return (
		<nav class="nav" aria-label={t("rail")}>
			<button class={onMap ? "" : "on"} onClick={() => {
				mapShown.value = false;
				focusOn("[data-testid=queue]");
			}}>{t(isDepartment.value ? "nav.tasks" : "nav.queue")}<small>g q</small></button>
			<button class={onMap ? "on" : ""} onClick={() => {
				mapShown.value = true;
				focusOn("[data-testid=map]");
			}}>{t("nav.map")}<small>g m</small></button>
			<div class="sp" />
			<button class={help.value ? "on" : ""} data-testid="help" onClick={() => (help.value = !help.peek())}>{t("nav.help")}<small>?</small></button>
		</nav>
	);
}

function Hint({ keys, text }: { keys: readonly string[]; text: string }) {
	return <span>{keys.map((key) => <span class="k">{key}</span>)}{text}</span>;
}

export function Foot() {
	const known = selected.value ? caseById(selected.value) : undefined;
	const targets = known ? allowed(known.value.case).filter((target) => PRIMARY.has(target.action) || target.action === "comment") : [];
	return (
		<footer class="foot">
			{footNote.value ? <span class="note" role="status">{footNote.value}</span> : (
				<>
					<Hint keys={["j", "k"]} text={t("key.move")} />
					<Hint keys={["Enter"]} text={t("key.open")} />
					{targets.slice(0, 4).map((target) => {
						const cap = capOf(target.action);
						return cap && <Hint key={target.action} keys={[cap]} text={actionName(target.action)} />;
					})}
					<Hint keys={["w"]} text={t("key.why")} />
					<Hint keys={["/"]} text={t("key.search")} />
					{isSmall.value && <Hint keys={["\\"]} text={t("map.swap")} />}
					<Hint keys={["?"]} text={t("key.all")} />
				</>
			)}
			<div class="r"><b data-testid="position">{t("foot.position", { i: position.value.at ? thousands(position.value.at) : t("none"), n: thousands(position.value.of) })}</b></div>
		</footer>
	);
}

const AGED_MS = 60_000;

// Times that nobody has confirmed for a minute look it.
effect(() => {
	const at = now.value && Date.now();
	document.documentElement.toggleAttribute("data-aged", heardAt.value > 0 && at - heardAt.value > AGED_MS);
});

/** Data that stopped are said so, with the last instant; what was missed and filled is said once. */
export function Banners() {
	const at = now.value && Date.now();
	const stale = heardAt.value > 0 && streamState(at) === "stale" && at - heardAt.value > 10_000;
	useEffect(() => {
		if (resynced.value > 0) toast("done", t("resynced"));
	}, [resynced.value]);
	useEffect(() => {
		if (!gap.value) return;
		const timer = setTimeout(() => (gap.value = null), 15_000);
		return () => clearTimeout(timer);
	}, [gap.value]);
	if (stale) {
		return (
			<div class="ban red" role="alert" data-testid="banner-stale">
				<b>{t("stale.head", { at: timeOfDay(heardAt.value, true) })}</b>
				<span>{t("stale.body", { s: Math.round((at - heardAt.value) / 1000), n: Math.max(1, attempts.value) })}</span>
				<button class="link r" onClick={retryNow}>{t("retry.now")}</button>
			</div>
		);
	}
	if (gap.value) {
		return (
			<div class="ban" role="status" data-testid="banner-gap">
				<b>{t("gap.head", { n: gap.value.changes })}</b><span>{t("gap.body", { s: gap.value.seconds })}</span>
				<button class="link r" onClick={() => (gap.value = null)}>{t("close.panel")}</button>
			</div>
		);
	}
	return null;
}

export function Toasts() {
	return (
		<div class="toasts" aria-live="polite">
			{toasts.value.map(({ id, kind, text, button }) => (
				<div key={id} class={`toast ${kind}`} data-testid="toast" data-kind={kind} role={kind === "warn" ? "alert" : "status"}>
					<span>{text}</span>
					{button && <button onClick={() => {
						dropToast(id);
						button.run();
					}}>{button.label}</button>}
					<button class="x" aria-label={t("close.panel")} onClick={() => dropToast(id)}>×</button>
				</div>
			))}
		</div>
	);
}
