// The sheets of the phone page: an answer to a task, and a report. Both end in the outbox, never in a waiting screen.
import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { PHOTOS_MAX, photoUrl, shrink } from "../case/photos";
import { rankTypes } from "../case/search";
import { placeOf, typeName } from "../queue/row";
import { useResource } from "../resource";
import { serverNow } from "../api";
import { either, t, type TextKey } from "../text";
import type { Case, CaseType } from "../types";
import { draft, discard, enqueue, type Item, newItem, saveDraft } from "./outbox";
import { here, nowhere } from "./place";

function Shell({ title, close, children }: { title: string; close: () => void; children: preact.ComponentChildren }) {
	const root = useRef<HTMLDivElement>(null);
	useEffect(() => {
		const before = document.activeElement as HTMLElement | null;
		root.current?.focus();
		return () => before?.focus();
	}, []);
	return (
		<div class="sheet" role="dialog" aria-modal="true" aria-label={title} tabIndex={-1} ref={root}
			onKeyDown={(e) => {
				if (e.key === "Escape") close();
			}}>
			<header><button class="pbtn plain" onClick={close} data-testid="sheet-close">{t("phone.back")}</button><h2>{title}</h2></header>
			{children}
		</div>
	);
}

const shown = (photo: Blob | string) => (typeof photo === "string" ? photoUrl(photo) : URL.createObjectURL(photo));

function Photos({ photos, set, must }: { photos: (Blob | string)[]; set: (photos: (Blob | string)[]) => void; must: boolean }) {
	const urls = photos.map(shown);
	useEffect(() => () => urls.forEach((url) => url.startsWith("blob:") && URL.revokeObjectURL(url)), [photos]);
	const take = async (files: FileList | null) => {
		const made: Blob[] = [];
		for (const file of [...(files ?? [])].slice(0, PHOTOS_MAX - photos.length)) made.push(await shrink(file));
		set([...photos, ...made]);
	};
	return (
		<div class="pfield">
			<b>{t("panel.photos")}</b> <span class="mut">{t(must && photos.length === 0 ? "phone.photo.must" : "photos.count", { n: photos.length, max: PHOTOS_MAX })}</span>
			<div class="pphotos">
				{urls.map((url, i) => (
					<span class="thumb" key={url}><img src={url} alt="" />
						<button class="x" aria-label={t("panel.remove")} onClick={() => set(photos.filter((_, k) => k !== i))}>×</button></span>
				))}
				{photos.length < PHOTOS_MAX && (
					<label class="addphoto">{t("phone.camera")}
						<input type="file" accept="image/jpeg,image/png,image/webp" capture="environment" data-testid="photo-input"
							onChange={(e) => {
								void take(e.currentTarget.files);
								e.currentTarget.value = "";
							}} /></label>
				)}
			</div>
		</div>
	);
}

function PlaceLine() {
	const at = here.value;
	return (
		<p class={`pplace${at ? "" : " none"}`} data-testid="place-line">
			{at ? t("phone.placed", { m: Math.round(at.accuracy) }) : t(`phone.nowhere.${nowhere.value ?? "unknown"}`)}</p>
	);
}

/** The body's place of capture: what the phone knew then. */
const captured = () => {
	const at = here.peek();
	return at ? { lon: at.lon, lat: at.lat, accuracy_m: Math.round(at.accuracy) } : undefined;
};

const FINDINGS: readonly TextKey[] = ["finding.true", "finding.false"];

/** The answer to a task: verify what was reported, or check what was done. */
export function Answer({ c, action, close }: { c: Case; action: string; close: () => void }) {
	const note = useSignal("");
	const finding = useSignal<string>("true");
	const photos = useSignal<(Blob | string)[]>([]);
	const missing = useSignal("");
	const bad = action === "check_fail";
	const send = async () => {
		if (bad && !note.peek().trim()) {
			missing.value = t("panel.missing", { what: t("panel.note") });
			return;
		}
		const body = {
			action, version: c.version, ...(note.peek().trim() && { note: note.peek().trim() }),
			...(action === "verify_result" && { result: finding.peek() }),
		};
		await enqueue(newItem("action", `/cases/${encodeURIComponent(c.case_id)}/actions`, body, {
			title: `${t(`act.${action}` as TextKey)} · ${typeName(c)}`, place: placeOf(c), photos: photos.peek(), caseId: c.case_id,
		}));
		close();
	};
	return (
		<Shell title={t(`act.${action}` as TextKey)} close={close}>
			<div class="sbody">
				<p class="pwhat"><b>{typeName(c)}</b> {placeOf(c)}</p>
				<Photos photos={photos.value} must set={(next) => (photos.value = next)} />
				{action === "verify_result" && (
					<div class="pfield" role="radiogroup" aria-label={t("panel.finding")}>
						{FINDINGS.map((key) => {
							const value = key.slice("finding.".length);
							return (
								<button class={`pbtn${finding.value === value ? " on" : ""}`} role="radio" aria-checked={finding.value === value} data-testid="finding"
									data-value={value} onClick={() => (finding.value = value)}>{t(key)}</button>
							);
						})}
					</div>
				)}
				<label class="pfield"><b>{t("panel.note")}</b> {!bad && <span class="mut">{t("panel.optional")}</span>}
					<textarea rows={3} maxLength={1000} data-testid="field-note" value={note.value} onInput={(e) => {
						note.value = e.currentTarget.value;
						missing.value = "";
					}} /></label>
				<PlaceLine />
			</div>
			<footer>
				{missing.value && <span class="need" role="alert">{missing.value}</span>}
				<button class="pbtn p" data-testid="sheet-send" onClick={() => void send()}>{t("phone.send")}</button>
			</footer>
		</Shell>
	);
}

const NO_TYPE = "";

/** A report from the street. Every letter is kept as a draft; closing the page loses nothing. */
export function Report({ close }: { close: () => void }) {
	const catalog = useResource<{ items: CaseType[] }>("/catalog");
	const kept = useRef<Item>(draft.peek() ?? { ...newItem("report", "/reports", {}, { title: "", place: "", photos: [] }), state: "draft" });
	const item = useSignal<Item>(kept.current);
	const query = useSignal("");
	const missing = useSignal("");
	const said = (name: string) => String(item.value.body[name] ?? "");
	const change = (next: Partial<Item>) => {
		item.value = { ...item.peek(), ...next };
		missing.value = "";
		void saveDraft(item.peek());
	};
	const put = (name: string, value: unknown) => {
		const { [name]: _, ...rest } = item.peek().body;
		change({ body: value ? { ...rest, [name]: value } : rest });
	};
	const all = catalog.data?.items ?? [];
	const chosen = all.find((type) => type.type_code === said("type_code"));
	const options = query.value ? rankTypes(all, query.value, null).slice(0, 6) : [];
	const nameOf = (type: CaseType) => either(type.name_zh, type.name_en);
	const send = async () => {
		const now = item.peek();
		if (!said("text").trim() && !chosen) {
			missing.value = t("phone.missing");
			return;
		}
		const at = captured();
		const title = chosen ? nameOf(chosen) : said("text").trim().slice(0, 40);
		const body = { ...now.body, title, occurred_at: new Date(serverNow()).toISOString(), ...(at && { location: at }) };
		await enqueue({ ...now, body, title: `${t("phone.report")} · ${title}`, place: said("text"), at: serverNow() });
		close();
	};
	return (
		<Shell title={t("phone.report")} close={close}>
			<div class="sbody">
				<Photos photos={item.value.photos} must={false} set={(photos) => change({ photos })} />
				<label class="pfield"><b>{t("panel.type")}</b>
					<input class="pinput" data-testid="report-type" placeholder={t("panel.type.hint")} autocomplete="off"
						value={query.value || (chosen ? nameOf(chosen) : "")}
						onInput={(e) => {
							query.value = e.currentTarget.value;
							if (!query.peek()) put("type_code", NO_TYPE);
						}} /></label>
				{options.length > 0 && (
					<div class="poptions" role="listbox" aria-label={t("panel.type")}>
						{options.map((type) => (
							<button class="pbtn" role="option" aria-selected={type.type_code === said("type_code")} data-testid="report-type-option" data-code={type.type_code}
								onClick={() => {
									put("type_code", type.type_code);
									query.value = "";
								}}>{nameOf(type)}</button>
						))}
					</div>
				)}
				<label class="pfield"><b>{t("phone.what")}</b>
					<textarea rows={4} maxLength={2000} data-testid="report-text" value={said("text")} onInput={(e) => put("text", e.currentTarget.value)} /></label>
				<PlaceLine />
			</div>
			<footer>
				{missing.value && <span class="need" role="alert">{missing.value}</span>}
				{draft.value && <button class="pbtn plain" onClick={() => {
					void discard(item.peek().id);
					close();
				}}>{t("phone.discard")}</button>}
				<button class="pbtn p" data-testid="sheet-send" onClick={() => void send()}>{t("phone.report.send")}</button>
			</footer>
		</Shell>
	);
}
