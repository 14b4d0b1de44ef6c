// Whom to call back. Each look is logged by the server, so it happens only when asked for.
import { instant } from "../format";
import { useResource } from "../resource";
import { now } from "../store";
import { t } from "../text";
import { contactOpen } from "../ui";
import { Block, Waiting } from "./parts";

interface Contacts {
	items: { contact: string; source_id?: string | null; reporter_id?: string | null; at: string }[];
}

export function Contact({ id }: { id: string }) {
	const contacts = useResource<Contacts>(`/cases/${encodeURIComponent(id)}/contact`);
	return (
		<Block title={t("contact")} sub={t("contact.logged")} id="contact"
			side={<button class="link" onClick={() => (contactOpen.value = null)}>{t("close.panel")}</button>}>
			<Waiting of={contacts} failed="contact.failed" />
			{contacts.data?.items.length === 0 && <div class="mut">{t("contact.none")}</div>}
			<div class="evs">
				{contacts.data?.items.map((item) => (
					<div key={`${item.contact}/${item.at}`}>
						<span class="tm">{instant(Date.parse(item.at), now.peek(), { brief: true })}</span><b>{item.contact}</b>
						<span class="x el">{item.reporter_id ?? item.source_id ?? ""}</span>
					</div>
				))}
			</div>
		</Block>
	);
}
