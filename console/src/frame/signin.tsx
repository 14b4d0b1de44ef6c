// The door. Name and password go to the server once; nothing of them or of a token stays here.
import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { expired, Problem, signIn } from "../api";
import { t } from "../text";
import { Switches } from "./top";

export function SignIn() {
	const failure = useSignal("");
	const busy = useSignal(false);
	const form = useRef<HTMLFormElement>(null);
	useEffect(() => form.current?.querySelector("input")?.focus(), []);

	const submit = async (event: Event) => {
		event.preventDefault();
		if (busy.peek() || !form.current) return;
		const data = new FormData(form.current);
		busy.value = true;
		failure.value = "";
		try {
			await signIn(String(data.get("username")), String(data.get("password")));
		} catch (error) {
			if (!(error instanceof Problem)) throw error;
			if (error.status === 401) failure.value = t("signin.wrong");
			else if (error.status === 429) failure.value = t("signin.limited");
			else failure.value = t("signin.failed", { why: error.status === 0 ? t("network") : error.title });
		} finally {
			busy.value = false;
		}
	};
	return (
		<main class="door">
			<div class="corner"><Switches /></div>
			<form ref={form} onSubmit={(e) => void submit(e)} aria-label={t("signin")}>
				<h1>{t("app.full")}</h1>
				{expired.value && <p class="need" role="status">{t("signin.expired")}</p>}
				<label>{t("signin.name")}
					<input class="inp" name="username" autocomplete="username" autocapitalize="off" spellcheck={false} required data-testid="signin-name" /></label>
				<label>{t("signin.password")}
					<input class="inp" name="password" type="password" autocomplete="current-password" required data-testid="signin-password" /></label>
				<p class="need" role="alert" data-testid="signin-error">{failure.value}</p>
				<button class="btn p" type="submit" disabled={busy.value} data-testid="signin-submit">{t(busy.value ? "signin.busy" : "signin")}</button>
			</form>
		</main>
	);
}
