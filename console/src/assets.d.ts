declare module "asset:*" {
	const url: string;
	export default url;
}
