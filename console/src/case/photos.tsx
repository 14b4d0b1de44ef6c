// Pictures: small ones that open large, and the field that takes, shrinks and uploads them.
import { type Signal, signal, useSignal } from "@preact/signals";
import { useLayoutEffect, useRef } from "preact/hooks";
import { Problem, upload } from "../api";
import { t } from "../text";

const EDGE_MAX = 1600; // px: enough to read a number plate, little enough for a phone's uplink
export const PHOTOS_MAX = 9;
const QUALITY = 0.82;

export interface Picture {
	url: string;
	title: string;
}

export const photoUrl = (hash: string) => `/api/v1/photos/${encodeURIComponent(hash)}`;

/** Only our own addresses: the page may load nothing else. */
export const ownPhotos = (urls: readonly unknown[] | undefined): string[] =>
	(urls ?? []).filter((url): url is string => typeof url === "string" && url.startsWith("/api/v1/photos/"));

/** The picture that is open large, among its neighbours. */
const open = signal<{ all: readonly Picture[]; at: number } | null>(null);

export function Thumbs({ pictures }: { pictures: readonly Picture[] }) {
	if (pictures.length === 0) return null;
	return (
		<div class="thumbs">
			{pictures.map((picture, at) => (
				<button class="thumb" key={picture.url} data-testid="photo" aria-label={picture.title} title={picture.title}
					onClick={() => (open.value = { all: pictures, at })}>
					<img src={picture.url} alt={picture.title} loading="lazy" decoding="async" />
					<span class="el">{picture.title}</span>
				</button>
			))}
		</div>
	);
}

export function Lightbox() {
	const root = useRef<HTMLDivElement>(null);
	const shown = open.value;
	const picture = shown?.all[shown.at];
	// Before anything is drawn: a key pressed at once is the picture's already.
	useLayoutEffect(() => {
		if (!picture) return;
		const before = document.activeElement as HTMLElement | null;
		root.current?.focus();
		return () => before?.focus();
	}, [picture !== undefined]);
	if (!shown || !picture) return null;
	const step = (by: number) => (open.value = { ...shown, at: (shown.at + by + shown.all.length) % shown.all.length });
	return (
		<div class="lightbox" role="dialog" aria-modal="true" aria-label={picture.title} tabIndex={-1} ref={root} data-testid="lightbox"
			onClick={() => (open.value = null)}
			onKeyDown={(e) => {
				e.stopPropagation();
				if (e.key === "Escape" || e.key === "Enter") open.value = null;
				else if (e.key === "ArrowRight") step(1);
				else if (e.key === "ArrowLeft") step(-1);
				else return;
				e.preventDefault();
			}}>
			<img src={picture.url} alt={picture.title} />
			<p>{picture.title} <span>{shown.at + 1} / {shown.all.length}</span></p>
		</div>
	);
}

/** A picture no edge of which is longer than 1600 px, as JPEG; the file itself where the browser cannot read it. */
export async function shrink(file: Blob): Promise<Blob> {
	const bitmap = await createImageBitmap(file).catch(() => null);
	if (!bitmap) return file;
	const scale = Math.min(1, EDGE_MAX / Math.max(bitmap.width, bitmap.height));
	const canvas = document.createElement("canvas");
	canvas.width = Math.round(bitmap.width * scale);
	canvas.height = Math.round(bitmap.height * scale);
	canvas.getContext("2d")?.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
	bitmap.close();
	return new Promise((resolve) => canvas.toBlob((made) => resolve(made ?? file), "image/jpeg", QUALITY));
}

export async function uploadPhoto(file: Blob): Promise<string> {
	return (await upload<{ hash: string }>("/photos", file)).hash;
}

/** Takes pictures and sends each at once; the field's value is the list of their hashes. */
export function PhotoField({ label, value, set, sending }: {
	label: string;
	value: readonly string[];
	set: (hashes: string[]) => void;
	/** How many are under way: the panel waits for them. */
	sending: Signal<number>;
}) {
	const failure = useSignal("");
	const now = useRef(value);
	now.current = value;
	const take = async (files: FileList | null) => {
		failure.value = "";
		for (const file of [...(files ?? [])].slice(0, PHOTOS_MAX - now.current.length)) {
			sending.value++;
			try {
				const hash = await uploadPhoto(await shrink(file));
				if (!now.current.includes(hash)) set([...now.current, hash]);
			} catch (error) {
				if (!(error instanceof Problem)) throw error;
				failure.value = t("photos.failed", { why: error.status === 0 ? t("network") : error.detail });
			} finally {
				sending.value--;
			}
		}
	};
	return (
		<div class="fld" data-testid="field-photos">
			<div class="sec-h"><b>{label}</b>{t("panel.optional")}<span>{t("photos.count", { n: value.length, max: PHOTOS_MAX })}</span></div>
			<div class="thumbs in">
				{value.map((hash) => (
					<span class="thumb" key={hash}>
						<img src={photoUrl(hash)} alt="" />
						<button class="x" aria-label={t("panel.remove")} onClick={() => set(value.filter((other) => other !== hash))}>×</button>
					</span>
				))}
				{value.length < PHOTOS_MAX && (
					<label class="addphoto">{sending.value > 0 ? t("photos.sending", { n: sending.value }) : t("photos.add")}
						<input type="file" accept="image/jpeg,image/png,image/webp" multiple data-testid="photo-input"
							onChange={(e) => {
								void take(e.currentTarget.files);
								e.currentTarget.value = "";
							}} /></label>
				)}
			</div>
			{failure.value && <div class="need" role="alert">{failure.value}</div>}
		</div>
	);
}
