"""The model as a black box: contract, query session, region, sampling."""
