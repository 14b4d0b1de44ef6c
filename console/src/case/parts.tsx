// Small pieces the case's blocks share.
import type { ComponentChildren } from "preact";
import type { Resource } from "../resource";
import { t, type TextKey } from "../text";

export function Block({ title, sub, side, children, id }: {
	title: string;
	sub?: ComponentChildren;
	side?: ComponentChildren;
	children?: ComponentChildren;
	id?: string;
}) {
	return (
		<section class="blk" data-testid={id}>
			<div class="sec-h"><b>{title}</b>{sub}{side !== undefined && <span>{side}</span>}</div>
			{children}
		</section>
	);
}

/** What a block shows instead of data: nothing yet, a skeleton, or its own failure with its own retry. */
export function Waiting<T>({ of, failed }: { of: Resource<T>; failed: TextKey }) {
	if (of.data) return null;
	if (of.error) {
		return (
			<div class="partfail" role="alert">
				<b>{t(failed)}</b> {of.error.status === 0 ? t("network") : of.error.detail}
				<button class="btn g" onClick={of.retry}>{t("retry")}</button>
			</div>
		);
	}
	return of.slow ? <div class="sk" aria-hidden="true"><i /><i /><i /></div> : null;
}
