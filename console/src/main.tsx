// The operator console: signed out it is a door, signed in it is three panes around one selection.
import { effect, signal, useComputed } from "@preact/signals";
import { type FunctionComponent, render } from "preact";
import { restoreSession, session } from "./api";
import { CasePane } from "./case/case";
import { Lightbox } from "./case/photos";
import { Banners, Foot, Rail, Toasts } from "./frame/frame";
import { Help } from "./frame/help";
import { SignIn } from "./frame/signin";
import { Top } from "./frame/top";
import { hasHan } from "./format";
import { listenForKeys } from "./keys";
import { MapPane } from "./map/map";
import { Queue } from "./queue/queue";
import { closeDesk, openDesk, streetNamesLong, streets } from "./store";
import { t } from "./text";
import { isSmall, mapShown } from "./ui";

function Desk() {
	// Streets with Latin names need a wider column than two Han.
	const latin = useComputed(() => streets.value.length > 0 && !streets.value.some(([, name]) => hasHan(name))).value;
	const long = streetNamesLong.value;
	return (
		<div class={`app${isSmall.value ? " small" : ""}${mapShown.value ? " onmap" : ""}${latin ? " latin" : ""}${long ? " long" : ""}`}>
			<Top />
			<Rail />
			<Queue />
			<CasePane />
			<MapPane />
			<Foot />
			<Banners />
			<Toasts />
			<Help />
			<Lightbox />
		</div>
	);
}

/** The inspector's page, fetched for inspectors alone. */
const phone = signal<FunctionComponent | null>(null);

function Console() {
	if (!session.value) return <SignIn />;
	if (session.value.role !== "inspector") return <Desk />;
	const Phone = phone.value;
	if (!Phone) void import("./work/phone").then((module) => (phone.value = module.default));
	return Phone && <><Phone /><Toasts /></>;
}

effect(() => {
	document.title = t("app.full");
});

await restoreSession();

let deskOpen = false;
effect(() => {
	const signedIn = session.value !== null;
	if (signedIn === deskOpen) return;
	deskOpen = signedIn;
	// Outside the effect: opening reads many signals that must not reopen the desk.
	queueMicrotask(signedIn ? openDesk : closeDesk);
});

listenForKeys();
const root = document.getElementById("app");
if (root) render(<Console />, root);
