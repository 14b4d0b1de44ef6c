// A component that is drawn again only when one of its properties changes (signals it reads redraw it as ever).
import { Component, type ComponentChildren, type FunctionComponent, h } from "preact";

export function memo<P extends object>(inner: FunctionComponent<P>): FunctionComponent<P> {
	class Memo extends Component<P> {
		override shouldComponentUpdate(next: Readonly<P>): boolean {
			const before = this.props as Record<string, unknown>;
			const after = next as Record<string, unknown>;
			return Object.keys(after).some((key) => before[key] !== after[key]);
		}
		override render(): ComponentChildren {
			return h(inner, this.props as P);
		}
	}
	return Memo as unknown as FunctionComponent<P>;
}
