// The table of keys, and what an operator may set for themselves.
import { useLayoutEffect, useRef } from "preact/hooks";
import { actionName } from "../act";
import { ACTION_KEYS, capOf } from "../keys";
import { t, type TextKey } from "../text";
import { help, type KeysMode, keysMode } from "../ui";
import { Switches } from "./top";

const GENERAL: readonly [string, TextKey][] = [
	["j k", "key.move"], ["Enter", "key.open"], ["Esc", "key.back"], ["n", "key.new"], ["1–7", "key.views"], ["/", "key.search"], ["⇧f", "key.filter"],
	["x ⇧x", "key.tick"], ["*", "key.tickall"], ["u", "undo"], ["w", "key.why"], ["t", "replay"], ["o", "key.caller"], [".", "actions.more"],
	["\\", "map.swap"], ["[ ]", "key.zoom"], ["l", "map.layers"], ["g q", "key.goqueue"], ["g m", "key.gomap"], ["?", "keys"],
];
const PANEL: readonly [string, TextKey][] = [
	["1–9 ↑ ↓", "key.pick"], ["Tab", "panel.assist"], ["Enter", "panel.next"], ["⇧Enter", "panel.stay"], ["Esc", "panel.cancel"],
];
const MODES: readonly KeysMode[] = ["on", "alt", "off"];

function Row({ keys, text }: { keys: string; text: string }) {
	return <div><span>{keys.split(" ").map((k) => <span class="k">{k}</span>)}</span><span>{text}</span></div>;
}

export function Help() {
	const root = useRef<HTMLDivElement>(null);
	const open = help.value;
	useLayoutEffect(() => {
		if (!open) return;
		const before = document.activeElement as HTMLElement | null;
		root.current?.focus();
		return () => before?.focus();
	}, [open]);
	if (!open) return null;
	return (
		<div class="help" role="dialog" aria-label={t("keys")} data-testid="help-panel" tabIndex={-1} ref={root}>
			<div class="sec-h"><b>{t("keys")}</b>{t("ime.note")}
				<span><button class="x" aria-label={t("close.panel")} onClick={() => (help.value = false)}>×</button></span></div>
			<div class="kb">{GENERAL.map(([keys, text]) => <Row keys={keys} text={t(text)} />)}</div>
			<div class="sec-h"><b>{t("keys.actions")}</b></div>
			<div class="kb">{Object.values(ACTION_KEYS).map((actions) => <Row keys={capOf(actions[0] ?? "") ?? ""} text={actions.map(actionName).join(" / ")} />)}</div>
			<div class="sec-h"><b>{t("keys.panel")}</b></div>
			<div class="kb">{PANEL.map(([keys, text]) => <Row keys={keys} text={t(text)} />)}</div>
			<div class="settings" role="group" aria-label={t("settings")}>
				<b>{t("settings")}</b>
				<span role="radiogroup" aria-label={t("keys.onoff")}>{t("keys.onoff")}
					{MODES.map((mode) => (
						<label><input type="radio" name="keys" data-testid={`keys-${mode}`} checked={keysMode.value === mode} onChange={() => (keysMode.value = mode)} />
							{t(`keys.${mode}`)}</label>
					))}</span>
				<span><Switches testids={false} /></span>
			</div>
		</div>
	);
}
