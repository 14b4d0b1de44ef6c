// Where the phone is: asked for once, then followed; only browsers on a secure address or on this machine tell.
import { signal } from "@preact/signals";

export interface Here {
	lon: number;
	lat: number;
	/** Metres. */
	accuracy: number;
	at: number;
}

export const here = signal<Here | null>(null);
/** Why there is no position. */
export const nowhere = signal<"unknown" | "denied" | "unavailable" | null>("unknown");

let watching: number | null = null;

export function watchPlace() {
	if (watching !== null) return;
	if (!("geolocation" in navigator) || !isSecureContext) {
		nowhere.value = "unavailable";
		return;
	}
	watching = navigator.geolocation.watchPosition(
		({ coords, timestamp }) => {
			here.value = { lon: coords.longitude, lat: coords.latitude, accuracy: coords.accuracy, at: timestamp };
			nowhere.value = null;
		},
		(error) => {
			if (!here.peek()) nowhere.value = error.code === error.PERMISSION_DENIED ? "denied" : "unavailable";
		},
		{ enableHighAccuracy: true, maximumAge: 15_000, timeout: 20_000 },
	);
}

export function unwatchPlace() {
	if (watching !== null) navigator.geolocation.clearWatch(watching);
	watching = null;
	here.value = null;
	nowhere.value = "unknown";
}
